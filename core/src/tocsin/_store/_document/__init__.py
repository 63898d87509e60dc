"""A store whose whole content is one text: the rules in Python, the place anybody's."""
