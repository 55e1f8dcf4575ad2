"""What can be done about a run that exists: stop it at the service, forget it there, fetch its files, approve plans."""
