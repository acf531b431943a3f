//! The exchange that a transcript reduces. It borrows from the request and the response.

/// Headers and body of a request or a response. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Message<'a> {
    /// The headers.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Returns the value of a header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.texts().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.headers.iter().filter_map(|(name, value)| Some((*name, std::str::from_utf8(value).ok()?)))
    }
}

/// One HTTP exchange. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URI.
    pub uri: &'a str,
    /// The request.
    pub request: Message<'a>,
    /// The response and its status. `None` if no response arrived.
    pub response: Option<(u16, Message<'a>)>,
}
