//! NumPy's arrays, dtypes and scalars in pickles.
