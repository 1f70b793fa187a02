"""What a problem and a method are, what fits what, and which term goes where."""
