//! The query protocol of STS, IAM, `CloudFormation`, `CloudWatch` and SNS: a form as the request, XML as the response. The form's `Version` names the
//! service.

use bytes::Bytes;

use super::{Signed, cloudformation, cloudwatch, iam, sns, sts};
use crate::world::{Request, Response, State};

/// The services with this protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    Sts,
    Iam,
    CloudWatch,
    Sns,
}

impl Api {
    fn of_version(version: &str) -> Option<Self> {
        match version {
            "2011-06-15" => Some(Api::Sts),
            "2010-05-08" => Some(Api::Iam),
            "2010-08-01" => Some(Api::CloudWatch),
            "2010-03-31" => Some(Api::Sns),
            _ => None,
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Api::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Api::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Api::CloudWatch => "http://monitoring.amazonaws.com/doc/2010-08-01/",
            Api::Sns => "http://sns.amazonaws.com/doc/2010-03-31/",
        }
    }

    /// The service's name in the scope of a signature.
    fn signing_name(self) -> &'static str {
        match self {
            Api::Sts => "sts",
            Api::Iam => "iam",
            Api::CloudWatch => "monitoring",
            Api::Sns => "sns",
        }
    }

    /// The service's name in IAM actions.
    fn prefix(self) -> &'static str {
        if self == Api::CloudWatch { "cloudwatch" } else { self.signing_name() }
    }

    /// The actions that the sandbox knows.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Api::Sts => &["GetCallerIdentity", "GetWebIdentityToken"],
            Api::Iam => &["SimulatePrincipalPolicy", "GetOutboundWebIdentityFederationInfo"],
            Api::CloudWatch => &["DescribeAlarms", "GetMetricStatistics"],
            Api::Sns => &["GetTopicAttributes"],
        }
    }
}

/// The fields of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn new(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A list: `{name}.member.1`, `{name}.member.2`, and so on.
    pub(super) fn members(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.field(&format!("{name}.member.{n}"))).collect()
    }

    /// A list of structures: one field of each entry.
    pub(super) fn members_of<'a>(&'a self, name: &str, field: &str) -> Vec<Option<&'a str>> {
        let has = |n: &usize| self.0.iter().any(|(key, _)| key.starts_with(&format!("{name}.member.{n}.")));
        (1..=self.0.len()).take_while(has).map(|n| self.field(&format!("{name}.member.{n}.{field}"))).collect()
    }

    /// A whole number in a range. A default replaces a missing field.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Denied> {
        let Some(text) = self.field(name) else { return Ok(default) };
        text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            invalid(format!("1 validation error detected: Value '{text}' at '{name}' must be between 1 and {most}"))
        })
    }
}

/// An error response.
#[derive(Debug)]
pub(crate) struct Denied {
    status: u16,
    code: &'static str,
    message: String,
}

pub(crate) fn denied(status: u16, code: &'static str, message: impl Into<String>) -> Denied {
    Denied { status, code, message: message.into() }
}

pub(crate) fn invalid(message: impl Into<String>) -> Denied {
    denied(400, "ValidationError", message)
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An element with a text.
pub(crate) fn tag(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A list of elements `member`, each with this content.
pub(crate) fn list(name: &str, members: impl IntoIterator<Item = String>) -> String {
    let members: Vec<_> = members.into_iter().map(|member| format!("<member>{member}</member>")).collect();
    format!("<{name}>{}</{name}>", members.concat())
}

/// The status and the body of a response. The content of a success is that of its result element.
pub(crate) fn body(namespace: &str, action: &str, request_id: &str, result: Result<String, Denied>) -> (u16, String) {
    match result {
        Ok(content) => (
            200,
            format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{content}</{action}Result><ResponseMetadata>\
                 <RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            ),
        ),
        Err(Denied { status, code, message }) => (
            status,
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{code}</Code>{}</Error><RequestId>\
                 {request_id}</RequestId></ErrorResponse>",
                tag("Message", &message)
            ),
        ),
    }
}

pub(super) fn handle(state: &mut State, request: &Request, request_id: &str) -> Response {
    let form = Form::new(request.body());
    let action = form.field("Action").unwrap_or_default();
    if form.field("Version") == Some("2010-05-15") {
        let result = match Signed::of(request) {
            Some(signed) => cloudformation::answer(state, &signed, action, &form),
            None => Err(denied(403, "MissingAuthenticationToken", "Request is missing Authentication Token")),
        };
        return response(body(cloudformation::NAMESPACE, action, request_id, result), request_id);
    }
    let api = Api::of_version(form.field("Version").unwrap_or_default());
    let result = answer(state, request, api, action, &form);
    response(body(api.unwrap_or(Api::Sts).namespace(), action, request_id, result), request_id)
}

fn response((status, body): (u16, String), request_id: &str) -> Response {
    http::Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .header("x-amzn-requestid", request_id)
        .body(Bytes::from(body))
        .unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

fn answer(state: &mut State, request: &Request, api: Option<Api>, action: &str, form: &Form) -> Result<String, Denied> {
    let media = super::header(request, "content-type").split(';').next().unwrap_or_default();
    if request.method() != http::Method::POST || media.trim() != "application/x-www-form-urlencoded" {
        return Err(denied(404, "UnknownOperationException", "The request is not a form."));
    }
    let Some(signed) = Signed::of(request) else {
        return Err(denied(403, "MissingAuthenticationToken", "Request is missing Authentication Token"));
    };
    let unknown = || denied(400, "InvalidAction", format!("Could not find operation {action}"));
    let api = api.filter(|api| api.actions().contains(&action)).ok_or_else(unknown)?;
    if signed.service != api.signing_name() {
        return Err(denied(403, "SignatureDoesNotMatch", signed.for_another_service(api.signing_name())));
    }
    // GetCallerIdentity needs no right, and no policy can take it away
    if action != "GetCallerIdentity" {
        let resource = if api == Api::Sns { form.field("TopicArn") } else { None };
        if let Some(message) = super::denial(state, &format!("{}:{action}", api.prefix()), resource) {
            let code = if api == Api::Sns { "AuthorizationError" } else { "AccessDenied" };
            return Err(denied(403, code, message));
        }
    }
    // STS and IAM serve every Region
    let is_here = signed.region == state.aws.region;
    match (api, action) {
        (Api::Sts, "GetCallerIdentity") => Ok(sts::caller(state)),
        (Api::Sts, _) => {
            // the global endpoint does not serve this action (AWS's reference)
            let host = request.uri().host().unwrap_or_else(|| super::header(request, "host"));
            if host == "sts.amazonaws.com" { Err(unknown()) } else { sts::token(state, form) }
        }
        (Api::Iam, "SimulatePrincipalPolicy") => iam::simulate(state, form),
        (Api::Iam, _) => iam::federation(state),
        (Api::CloudWatch, "DescribeAlarms") => cloudwatch::alarms(state, form, is_here),
        (Api::CloudWatch, _) => cloudwatch::statistics(state, form, is_here),
        (Api::Sns, _) => sns::topic(state, form, is_here),
    }
}
