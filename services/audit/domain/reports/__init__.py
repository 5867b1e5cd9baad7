"""What does a rule want to see of the log, and is all of it there?"""
