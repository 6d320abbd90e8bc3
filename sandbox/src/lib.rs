//! Starts a process that can do little, and says how little. The only room with unsafe code.
