"""The Interactions API on the wire: requests sent once, answers read leniently, and what each proves."""
