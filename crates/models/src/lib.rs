//! Model files: sources, download, verification
