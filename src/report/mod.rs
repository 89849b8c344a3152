//! How results are drawn; knows no operation.
