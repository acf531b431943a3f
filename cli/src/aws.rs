//! A few signed requests to IAM, STS, `CloudWatch`, SNS, `EventBridge` Scheduler and S3, for `doctor` and `deploy`.
//!
//! A dozen calls of six services are no reason to build their six SDK crates (600,000 lines). The signature is the SDK's
//! own (`aws-sigv4`), the requests go through hubkeeper's HTTP client.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::config::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use hubkeeper::http::{HttpClient, Policy};
use hubkeeper_core::config::Environment;
use hubkeeper_core::redact;
use serde_json::Value;

/// A service: its name in endpoints and in signatures, and the version of its query protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Identity and Access Management: one endpoint for each partition.
    Iam,
    /// `CloudWatch`.
    CloudWatch,
    /// Simple Notification Service.
    Sns,
    /// `EventBridge` Scheduler, which has a REST protocol.
    Scheduler,
    /// Security Token Service.
    Sts,
    /// Simple Storage Service, which has a REST protocol.
    S3,
}

impl Service {
    /// The name in signatures, and in the variable of the endpoint.
    fn name(self) -> &'static str {
        match self {
            Service::Iam => "iam",
            Service::CloudWatch => "monitoring",
            Service::Sns => "sns",
            Service::Scheduler => "scheduler",
            Service::Sts => "sts",
            Service::S3 => "s3",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Service::Iam => "AWS_ENDPOINT_URL_IAM",
            Service::CloudWatch => "AWS_ENDPOINT_URL_CLOUDWATCH",
            Service::Sns => "AWS_ENDPOINT_URL_SNS",
            Service::Scheduler => "AWS_ENDPOINT_URL_SCHEDULER",
            Service::Sts => "AWS_ENDPOINT_URL_STS",
            Service::S3 => "AWS_ENDPOINT_URL_S3",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Service::Iam => "2010-05-08",
            Service::CloudWatch => "2010-08-01",
            Service::Sns => "2010-03-31",
            Service::Scheduler => "2021-06-30",
            Service::Sts => "2011-06-15",
            Service::S3 => "2006-03-01",
        }
    }

    /// The default endpoint, and the Region of the signature (AWS General Reference, "Service endpoints and quotas").
    fn endpoint(self, region: &str) -> (String, String) {
        let china = region.starts_with("cn-");
        let government = region.starts_with("us-gov-");
        if self == Service::Iam {
            let (host, signed) = match (china, government) {
                (true, _) => ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
                (_, true) => ("iam.us-gov.amazonaws.com", "us-gov-west-1"),
                _ => ("iam.amazonaws.com", "us-east-1"),
            };
            return (format!("https://{host}/"), signed.to_owned());
        }
        (format!("https://{}.{region}.{}/", self.name(), domain(region)), region.to_owned())
    }
}

/// The domain of a Region's endpoints.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Why there is no result, in words for people. It never holds a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// AWS's code; empty if there was no response.
    pub code: String,
    /// What happened.
    pub what: String,
}

impl Refusal {
    /// A refusal with AWS's code, or without a response.
    pub fn of(what: &str, code: Option<&str>) -> Self {
        match code.and_then(redact::code) {
            Some(code) => Self { code: code.to_owned(), what: format!("{what}: AWS returned {code}") },
            None => Self { code: String::new(), what: format!("{what}: AWS did not respond") },
        }
    }

    /// Whether the caller has no right to read this.
    pub fn is_denied(&self) -> bool {
        matches!(self.code.as_str(), "AccessDenied" | "AccessDeniedException" | "AuthorizationError")
    }

    /// Whether what was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        let missing =
            ["NotFound", "NoSuchEntity", "ResourceNotFoundException", "ResourceNotFound", "NoSuchKey", "NoSuchBucket"];
        missing.contains(&self.code.as_str())
    }
}

/// A response. No `Debug`: its text is not checked for secrets.
struct Answer {
    status: u16,
    /// `X-Amzn-ErrorType`.
    error_type: Option<String>,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request to S3.
#[derive(Clone)]
pub struct S3Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key of an object; empty for the bucket itself. Letters, digits and `-_./` only.
    pub key: &'a str,
    /// The query, without the question mark.
    pub query: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// The name of the action, for errors.
    pub what: &'static str,
}

/// A request to sign and send.
struct Call<'a> {
    service: Service,
    method: &'a str,
    url: String,
    signed_region: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    policy: Policy,
    what: &'a str,
}

/// One attempt of an upload.
const UPLOAD: Duration = Duration::from_mins(5);

/// Signed requests with the caller's own credentials. No `Debug`: it holds them.
pub struct Reads<'a> {
    aws: &'a SdkConfig,
    environment: &'a Environment,
    http_client: &'a HttpClient,
}

impl<'a> Reads<'a> {
    /// Creates the client.
    pub fn new(aws: &'a SdkConfig, environment: &'a Environment, http_client: &'a HttpClient) -> Self {
        Self { aws, environment, http_client }
    }

    /// Calls an action of the query protocol, and returns the text of the response (XML).
    ///
    /// # Errors
    /// Returns AWS's refusal, or why there was no response.
    pub async fn query(&self, service: Service, action: &str, fields: &[(String, String)]) -> Result<String, Refusal> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", service.version());
        for (name, value) in fields {
            form.append_pair(name, value);
        }
        let (url, signed_region) = self.endpoint(service);
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = Bytes::from(form.finish());
        let policy = Policy { attempts: 2, ..Policy::SAFE };
        let call = Call { service, method: "POST", url, signed_region, headers, body, policy, what: action };
        let answer = self.send(call).await?;
        if answer.status == 200 {
            Ok(answer.text())
        } else {
            Err(refused(action, answer.status, xml_code(&answer.text()).as_deref()))
        }
    }

    /// Reads a resource of the REST protocol.
    ///
    /// # Errors
    /// Returns AWS's refusal, or why there was no response.
    pub async fn get(&self, service: Service, path: &str, what: &str) -> Result<Value, Refusal> {
        let (base, signed_region) = self.endpoint(service);
        let policy = Policy { attempts: 2, ..Policy::SAFE };
        let (url, headers, body) = (format!("{base}{path}"), Vec::new(), Bytes::new());
        let answer =
            self.send(Call { service, method: "GET", url, signed_region, headers, body, policy, what }).await?;
        let unreadable =
            || Refusal { code: String::new(), what: format!("{what}: the response of AWS cannot be read") };
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body).map_err(|_| unreadable());
        }
        Err(refused(what, answer.status, answer.error_type.as_deref()))
    }

    /// Sends a request to S3, and returns the body of the response.
    ///
    /// # Errors
    /// Returns S3's refusal, or why there was no response. A response to HEAD has no code of its own.
    pub async fn s3(&self, request: S3Request<'_>) -> Result<Bytes, Refusal> {
        let S3Request { method, bucket, key, query, headers, body, what } = request;
        let region = self.aws.region().map_or("us-east-1", AsRef::as_ref);
        let (base, signed_region) = self.endpoint(Service::S3);
        // a bucket's own host needs a certificate without further dots, and an emulator has no such hosts
        let mut url = if self.own_endpoint(Service::S3).is_some() || bucket.contains('.') {
            format!("{base}{bucket}/{key}")
        } else {
            format!("https://{bucket}.s3.{region}.{}/{key}", domain(region))
        };
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let policy = Policy { attempts: 3, ..Policy::SAFE }.within(UPLOAD).capped(8 << 20);
        let call = Call { service: Service::S3, method, url, signed_region, headers, body, policy, what };
        let answer = self.send(call).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let code = xml_code(&answer.text()).or_else(|| {
            let code = match answer.status {
                301 => "PermanentRedirect",
                403 => "AccessDenied",
                404 => "NotFound",
                _ => return None,
            };
            Some(code.to_owned())
        });
        Err(refused(what, answer.status, code.as_deref()))
    }

    /// The endpoint that a variable or the profile names.
    pub fn own_endpoint(&self, service: Service) -> Option<&str> {
        let own = self.environment.get(service.variable()).map(String::as_str).filter(|url| !url.is_empty());
        own.or(self.aws.endpoint_url())
    }

    /// The endpoint of a service, with a slash at its end, and the Region of the signature.
    fn endpoint(&self, service: Service) -> (String, String) {
        let region = self.aws.region().map_or("us-east-1", AsRef::as_ref);
        let (default, signed) = service.endpoint(region);
        let base = self.own_endpoint(service).unwrap_or(&default);
        (format!("{}/", base.trim_end_matches('/')), signed)
    }

    async fn send(&self, call: Call<'_>) -> Result<Answer, Refusal> {
        let Call { service, method, url, signed_region, headers, body, policy, what } = call;
        let failed = |why: String| Refusal { code: String::new(), what: format!("{what}: {why}") };
        let provider = self.aws.credentials_provider().ok_or_else(|| failed("there is no login".to_owned()))?;
        let identity = provider.provide_credentials().await.map_err(|_| failed("there is no login".to_owned()))?.into();
        let unsigned = || failed("the request cannot be signed".to_owned());
        let mut settings = SigningSettings::default();
        if service == Service::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&signed_region)
            .name(service.name())
            .time(self.http_client.now().into())
            .settings(settings)
            .build()
            .map_err(|_| unsigned())?
            .into();
        let mut request = http::Request::new(body.clone());
        *request.method_mut() = method.parse().unwrap_or_default();
        *request.uri_mut() = url.parse().map_err(|_| unsigned())?;
        for (name, value) in &headers {
            request.headers_mut().insert(*name, value.parse().map_err(|_| unsigned())?);
        }
        let signed = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(method, &url, signed, SignableBody::Bytes(&body)).map_err(|_| unsigned())?;
        let (instructions, _) = sign(signable, &params).map_err(|_| unsigned())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let response = self.http_client.send(request, policy).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status().as_u16();
        // a REST error has its code in a header, with an address after a colon
        let kind = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let error_type = kind.map(|kind| kind.split(':').next().unwrap_or_default().to_owned());
        Ok(Answer { status, error_type, body: response.into_body() })
    }
}

fn refused(what: &str, status: u16, code: Option<&str>) -> Refusal {
    let code = code.and_then(redact::code).unwrap_or_default().to_owned();
    let shown = if code.is_empty() { format!("status {status}") } else { code.clone() };
    Refusal { code, what: format!("{what}: AWS returned {shown}") }
}

/// The code in an error of the query protocol.
fn xml_code(text: &str) -> Option<String> {
    let document = roxmltree::Document::parse(text).ok()?;
    let code = document.descendants().find(|node| node.has_tag_name_in_any("Code"))?;
    code.text().map(str::to_owned)
}

/// An element of a response, by its local name whatever its namespace is.
pub trait Element {
    /// Whether the element has this name.
    fn has_tag_name_in_any(&self, name: &str) -> bool;
    /// The text of its child of this name.
    fn text_of_child(&self, name: &str) -> Option<String>;
}

impl Element for roxmltree::Node<'_, '_> {
    fn has_tag_name_in_any(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }

    fn text_of_child(&self, name: &str) -> Option<String> {
        let found = self.children().find(|node| node.has_tag_name_in_any(name))?;
        found.text().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_follows_the_partition() {
        assert_eq!(Service::Iam.endpoint("eu-west-1"), ("https://iam.amazonaws.com/".into(), "us-east-1".into()));
        assert_eq!(Service::Iam.endpoint("us-gov-east-1").1, "us-gov-west-1");
        assert_eq!(Service::Sns.endpoint("eu-west-1").0, "https://sns.eu-west-1.amazonaws.com/");
        assert_eq!(Service::CloudWatch.endpoint("cn-north-1").0, "https://monitoring.cn-north-1.amazonaws.com.cn/");
    }

    #[test]
    fn the_code_of_an_error_is_read_in_any_namespace() {
        let xml = "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>dckr_pat_x</Message></Error></ErrorResponse>";
        let refusal = refused("SimulatePrincipalPolicy", 404, xml_code(xml).as_deref());
        assert!(refusal.is_missing() && !refusal.is_denied());
        assert_eq!(refusal.what, "SimulatePrincipalPolicy: AWS returned NoSuchEntity");
        assert_eq!(refused("X", 500, xml_code("<html>").as_deref()).what, "X: AWS returned status 500");
        assert_eq!(refused("X", 403, Some("dckr_pat_x")).what, "X: AWS returned status 403");
    }
}
