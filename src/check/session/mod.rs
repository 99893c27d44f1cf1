//! Checks of the area `session`, one topic a file.
