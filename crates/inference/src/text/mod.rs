//! Text to tokens and back, as the model's file describes it.

mod bytes;
mod chat;
mod pieces;
mod pretokens;
mod stream;
mod tokenizer;

pub(crate) use chat::ChatTemplate;
pub(crate) use stream::TextStream;
pub(crate) use tokenizer::Tokenizer;
