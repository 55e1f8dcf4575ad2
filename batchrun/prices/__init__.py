"""What interactions cost in US dollars, by a table of prices that a user can replace."""
