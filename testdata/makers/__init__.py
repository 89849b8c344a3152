"""What `make.py` calls: one module for each folder of testdata."""
