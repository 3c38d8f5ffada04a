//! How good an answer is: metrics of texts, tool calls and budgets, the pure half of judges, and the comparison of two
//! runs.
//!
//! A [`Definition`] is what people write; [`Metric::new`] checks it. [`Metric::begin`] gives the scores of a [`Sample`],
//! or says what must be asked first: vectors of texts, or a judge's opinions.
//!
//! *Invariant:* pure: no I/O, no clock, no kind, no chance but that of a seed.
//! *Invariant:* a metric that lacks what it needs says so; it never gives a number in place of one.
//! *Invariant:* every score lies from 0 to 1, 1 being the most of what the metric's name says.

mod bleu;
mod compare;
mod cosine;
mod definition;
mod distance;
mod judge;
mod metric;
mod number;
mod rouge;
mod sample;
mod subsequence;
mod token_f1;
mod tool_calls;

pub use bleu::{bleu, corpus_bleu};
pub use compare::{Comparison, Interval, compare};
pub use cosine::cosine;
pub use definition::{CallOrder, Definition, Measure, Message, Scale, ScaleSort, Sort};
pub use distance::{edit_similarity, insertion_similarity};
pub use judge::{Judge, Question, Unparsable, Verdict, answer_of, combine};
pub use metric::{BadMetric, Metric, Score, Step, Unscorable};
pub use number::mean;
pub use rouge::{Overlap, rouge_l, rouge_n};
pub use sample::{Case, Measured, Sample, ToolCall, text_of, texts_of};
pub use token_f1::token_f1;
pub use tool_calls::tool_call_accuracy;
