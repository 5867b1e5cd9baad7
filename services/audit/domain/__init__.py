"""What makes a log of events one that nobody can bend unseen?

Pure: bytes in, bytes out. Tools that check a log offline import this package and nothing else of the service.
"""
