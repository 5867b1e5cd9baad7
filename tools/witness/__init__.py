"""Has anybody outside seen what the log says, and that it never said otherwise?"""
