//! What holds of the core whatever it is given: the verdict, the merge of a connector, the planner, the retirement of tokens, the
//! rewriting of a document, the status page, the transcript. Each file also runs its properties on a broken implementation, and must find a case that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod document;
mod event;
mod merge;
mod page;
mod planner;
mod retire;
mod transcript;
mod verdict;
