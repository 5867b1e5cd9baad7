"""What do tests of several services need: databases, builders, receivers?"""
