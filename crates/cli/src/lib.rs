//! The command line: verbs over kinds, output, errors and exit codes
