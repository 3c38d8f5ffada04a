//! A world for tests: clock, scripted providers, processes
