//! Checks of the area `features`, one topic a file.
