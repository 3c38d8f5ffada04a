//! Text to tokens and back, as the model's file describes it.

mod bytes;
mod chat;
mod pieces;
mod pretokens;
mod stream;
#[cfg(test)]
mod tests;
mod tokenizer;
mod words;

#[cfg(test)]
pub(crate) use bytes::byte_of;

pub(crate) use chat::ChatTemplate;
pub(crate) use stream::TextStream;
pub(crate) use tokenizer::Tokenizer;
pub(crate) use words::Words;
