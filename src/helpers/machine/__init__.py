"""The machine and the code: what this computer has and can run, and which code made a result."""
