//! Conversations: threads, messages and the chat command
