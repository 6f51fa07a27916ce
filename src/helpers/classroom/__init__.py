"""For a class: the lessons without solutions, and which exercises a student's own notebooks solve."""
