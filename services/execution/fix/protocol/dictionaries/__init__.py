"""Which fields, values and messages does a version of FIX have?"""
