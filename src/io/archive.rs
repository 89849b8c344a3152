//! Members of archives: name to extent; duplicates and lies stay visible.
