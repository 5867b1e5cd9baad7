"""What do running and planning need of the outside?"""
