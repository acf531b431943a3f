//! The secret: its document, its versions and labels, and the store that keeps them.

pub mod document;
pub mod failure;
pub mod invite;
pub mod kept;
pub mod labels;
pub mod login;
pub mod schedule;
pub mod store;
pub mod subject;

pub use document::Document;
pub use invite::Invitation;
pub use kept::{Kept, KeptConnector};
pub use labels::{Label, Managed, Secret};
pub use login::{Access, Login, LoginSecret, Purpose};
pub use store::SecretStore;
pub use subject::Subject;
