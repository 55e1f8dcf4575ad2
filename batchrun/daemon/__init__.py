"""`schedule run`: one process that begins the slots of several jobs, each job's runs in a child process of its own."""
