//! What the ids of other systems look like.

/// What Secrets Manager takes as a name or an ARN.
pub fn is_secret_id(id: &str) -> bool {
    id.len() <= 2048 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:!".contains(&byte))
}

/// What Secrets Manager takes as a version id: 32 to 64 characters.
pub fn is_version_id(id: &str) -> bool {
    (32..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A name of lower-case letters, digits and separators: what a path and a scope may hold.
pub fn is_repository_part(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

/// A UUID in its usual spelling, of any version.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
