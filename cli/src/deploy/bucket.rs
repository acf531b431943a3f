//! The bucket of the packages: created on first use, written by deploy, emptied by destroy of what belongs to the stack.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::login::Login;
use super::parameters::{HIDDEN, Setting, Settings, Values};
use super::release::hex;
use super::template::LARGEST;
use crate::aws::{Element, Refusal, S3Request, Service};
use crate::exit::{Code, Failure};

/// The bucket's name where nobody chose one.
pub fn default_name(account: &str, region: &str) -> String {
    format!("hubkeeper-{account}-{region}")
}

/// The key before everything of a stack.
pub fn folder(stack: &str) -> String {
    format!("hubkeeper/{stack}/")
}

/// The key before a package: it changes with the package's content, so an unchanged package changes nothing.
pub fn package_folder(stack: &str, sha256: &str) -> String {
    format!("{}{}/", folder(stack), sha256.get(..16).unwrap_or(sha256))
}

/// A bucket with the caller's credentials. No `Debug`: it holds them.
pub struct Bucket<'a> {
    login: &'a Login,
    /// Its name.
    pub name: &'a str,
}

/// What a stack was before an update: enough to bring it back.
#[derive(Clone, PartialEq, Eq)]
pub struct Previous {
    /// The template as it was sent.
    pub template: String,
    /// The parameters; a hidden one is only named.
    pub parameters: Values,
}

impl Previous {
    /// The key of the template, if it is too long for a request. It changes with the content.
    pub fn key(&self, stack: &str) -> Option<String> {
        let digest = hex(self.template.as_bytes());
        (self.template.len() > LARGEST).then(|| format!("{}previous/{}.template", folder(stack), &digest[..16]))
    }

    /// What each parameter gets when the stack is brought back: a hidden one keeps its value.
    pub fn settings(&self) -> Settings {
        let setting = |value: &str| if value == HIDDEN { Setting::Previous } else { Setting::Value(value.to_owned()) };
        self.parameters.iter().map(|(name, value)| (name.clone(), setting(value))).collect()
    }
}

impl<'a> Bucket<'a> {
    /// The bucket of a name.
    ///
    /// # Errors
    /// Returns a usage failure if S3 has no such names.
    pub fn new(login: &'a Login, name: &'a str) -> Result<Self, Failure> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if (3..=63).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(Self { login, name });
        }
        Err(Failure::usage(
            "the name of the bucket is not one of S3",
            "use 3 to 63 lower-case letters, digits, dots and hyphens (--bucket)",
        ))
    }

    fn request(&self, method: &'a str, key: &'a str, what: &'static str) -> S3Request<'a> {
        // nobody else's bucket, even if its name is the expected one
        let headers = vec![("x-amz-expected-bucket-owner", self.login.account.clone())];
        S3Request { method, bucket: self.name, key, query: String::new(), headers, body: Bytes::new(), what }
    }

    /// Whether the bucket exists.
    ///
    /// # Errors
    /// Returns a failure if it belongs to another account, is in another Region, or may not be used.
    pub async fn exists(&self) -> Result<bool, Failure> {
        match self.login.reads().s3(self.request("HEAD", "", "HeadBucket")).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_missing() => Ok(false),
            Err(refusal) if refusal.code == "PermanentRedirect" => Err(Failure::new(
                Code::Person,
                format!("the bucket {} is in another Region than {}", self.name, self.login.region),
                "name a bucket of the stack's Region with --bucket",
            )),
            Err(refusal) if refusal.is_denied() => Err(Failure::new(
                Code::Person,
                format!("the bucket {} belongs to another account, or you may not use it", self.name),
                "you need the right s3:ListBucket on it; or name another bucket with --bucket",
            )),
            Err(refusal) => Err(self.failed("s3:ListBucket", &refusal)),
        }
    }

    /// Creates the bucket: no public access, and every version kept.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn create(&self) -> Result<(), Failure> {
        let region = &self.login.region;
        let mut create = self.request("PUT", "", "CreateBucket");
        create.headers.clear();
        // the first Region has no name here (S3's reference of CreateBucket)
        if region != "us-east-1" {
            create.body = Bytes::from(format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ));
        }
        match self.login.reads().s3(create).await {
            Ok(_) => {}
            // the response to an earlier attempt was lost
            Err(refusal) if refusal.code == "BucketAlreadyOwnedByYou" => {}
            Err(refusal) => return Err(self.failed("s3:CreateBucket", &refusal)),
        }
        let protected = self.protect().await;
        if protected.is_err() {
            // the next run would find it, and take it for one that a person made; S3 deletes none that holds an object
            let _ = self.login.reads().s3(self.request("DELETE", "", "DeleteBucket")).await;
        }
        protected
    }

    /// Blocks public access, and keeps every version.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn protect(&self) -> Result<(), Failure> {
        let block = "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
        let versions = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        for (query, body, what, right) in [
            ("publicAccessBlock=", block, "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
            ("versioning=", versions, "PutBucketVersioning", "s3:PutBucketVersioning"),
        ] {
            let mut request = self.request("PUT", "", what);
            query.clone_into(&mut request.query);
            // these actions require a checksum of the body (S3's reference)
            request.headers.push(("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(body))));
            request.headers.push(("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()));
            request.body = Bytes::from_static(body.as_bytes());
            self.login.reads().s3(request).await.map_err(|refusal| self.failed(right, &refusal))?;
        }
        Ok(())
    }

    /// Writes an object.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Failure> {
        let mut request = Bucket { login: self.login, name: self.name }.request("PUT", key, "PutObject");
        request.body = Bytes::from(body);
        self.login.reads().s3(request).await.map(|_| ()).map_err(|refusal| self.failed("s3:PutObject", &refusal))
    }

    /// Reads an object. `None` if it does not exist.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let request = Bucket { login: self.login, name: self.name }.request("GET", key, "GetObject");
        match self.login.reads().s3(request).await {
            Ok(body) => Ok(Some(body)),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) => Err(self.failed("s3:GetObject", &refusal)),
        }
    }

    /// Keeps what the stack is now, for `--rollback`. A template that is too long for a request is also an object of its own.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn keep(&self, stack: &str, previous: &Previous) -> Result<(), Failure> {
        if let Some(key) = previous.key(stack) {
            self.put(&key, previous.template.clone().into_bytes()).await?;
        }
        // one object, so that template and parameters are always of the same deployment
        let document = json!({"template": previous.template, "parameters": previous.parameters});
        self.put(&format!("{}previous/stack.json", folder(stack)), document.to_string().into_bytes()).await
    }

    /// What the stack was before its last update. `None` if nothing is kept, or nothing that deploy writes.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn previous(&self, stack: &str) -> Result<Option<Previous>, Failure> {
        let Some(body) = self.get(&format!("{}previous/stack.json", folder(stack))).await? else { return Ok(None) };
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let parameters = document["parameters"].as_object();
        match (document["template"].as_str(), parameters) {
            (Some(template), Some(parameters)) if !template.is_empty() => {
                let parameters =
                    parameters.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                Ok(Some(Previous { template: template.to_owned(), parameters: parameters.collect() }))
            }
            _ => Ok(None),
        }
    }

    /// The URL by which `CloudFormation` reads an object.
    pub fn url(&self, key: &str) -> String {
        let (region, name) = (&self.login.region, self.name);
        if let Some(own) = self.login.reads().own_endpoint(Service::S3) {
            return format!("{}/{name}/{key}", own.trim_end_matches('/'));
        }
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://s3.{region}.{suffix}/{name}/{key}")
    }

    /// Deletes every version of everything below a key. Returns how many objects it deleted.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn empty(&self, prefix: &str) -> Result<usize, Failure> {
        let mut deleted = 0;
        loop {
            let versions = self.versions(prefix).await?;
            if versions.is_empty() {
                return Ok(deleted);
            }
            for (key, version) in versions {
                let mut request = Bucket { login: self.login, name: self.name }.request("DELETE", &key, "DeleteObject");
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("versionId", &version);
                request.query = query.finish();
                let gone = self.login.reads().s3(request).await;
                gone.map_err(|refusal| self.failed("s3:DeleteObjectVersion", &refusal))?;
                deleted += 1;
            }
        }
    }

    /// Whether there is anything below a key, whatever its version.
    ///
    /// # Errors
    /// Returns a failure if S3 refuses.
    pub async fn holds(&self, prefix: &str) -> Result<bool, Failure> {
        Ok(!self.versions(prefix).await?.is_empty())
    }

    /// Keys and versions below a key: the first page, or none if there is no bucket.
    async fn versions(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
        let mut list = self.request("GET", "", "ListObjectVersions");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("prefix", prefix).append_pair("versions", "");
        list.query = query.finish();
        match self.login.reads().s3(list).await {
            Ok(body) => Ok(versions(&String::from_utf8_lossy(&body), prefix)),
            Err(refusal) if refusal.is_missing() => Ok(Vec::new()),
            Err(refusal) => Err(self.failed("s3:ListBucketVersions", &refusal)),
        }
    }

    fn failed(&self, right: &str, refusal: &Refusal) -> Failure {
        let what = format!("the bucket {}: {}", self.name, refusal.what);
        if refusal.is_denied() {
            return Failure::new(
                Code::Person,
                what,
                format!("you need the right {right} on it; docs/deploy.md#rights-to-deploy lists all"),
            );
        }
        if Code::of_aws(Some(&refusal.code)) == Code::Retry {
            return Failure::new(Code::Retry, what, "run the command again");
        }
        Failure::new(Code::Person, what, "correct what the code names, or name another bucket with --bucket")
    }
}

/// Keys and versions of a list, with those of delete markers. Only keys that begin as requested count.
fn versions(text: &str, prefix: &str) -> Vec<(String, String)> {
    let Ok(document) = roxmltree::Document::parse(text) else { return Vec::new() };
    let entries = document
        .descendants()
        .filter(|node| node.has_tag_name_in_any("Version") || node.has_tag_name_in_any("DeleteMarker"));
    entries
        .filter_map(|entry| Some((entry.text_of_child("Key")?, entry.text_of_child("VersionId")?)))
        .filter(|(key, _)| key.starts_with(prefix))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_those_of_the_stack() {
        assert_eq!(default_name("111122223333", "eu-west-1"), "hubkeeper-111122223333-eu-west-1");
        assert_eq!(package_folder("s", &"ab".repeat(32)), "hubkeeper/s/abababababababab/");
    }

    #[test]
    fn only_what_belongs_to_the_stack_is_deleted() {
        let text = "<ListVersionsResult xmlns=\"x\"><Version><Key>hubkeeper/s/a</Key><VersionId>1</VersionId></Version>\
                    <DeleteMarker><Key>hubkeeper/s/b</Key><VersionId>2</VersionId></DeleteMarker>\
                    <Version><Key>hubkeeper/s2/a</Key><VersionId>3</VersionId></Version></ListVersionsResult>";
        let found = versions(text, "hubkeeper/s/");
        let pair = |key: &str, version: &str| (key.to_owned(), version.to_owned());
        assert_eq!(found, [pair("hubkeeper/s/a", "1"), pair("hubkeeper/s/b", "2")]);
    }

    #[test]
    fn a_hidden_parameter_keeps_its_value() {
        let previous = Previous {
            template: String::new(),
            parameters: [("A", "x"), ("P", HIDDEN)].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let settings = previous.settings();
        assert!(matches!(&settings["A"], Setting::Value(value) if value == "x"));
        assert!(matches!(settings["P"], Setting::Previous));
    }
}
