//! Tells which service and call an exchange belongs to, and reduces its address to literals.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exchange::Exchange;
use super::words;

/// What replaces a segment of a path, or the name of a parameter, that is not kept.
const SEGMENT: &str = "{}";

/// The services whose exchanges a transcript holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS STS.
    Sts,
    /// AWS IAM.
    Iam,
    /// Amazon `CloudWatch`.
    CloudWatch,
    /// Amazon SNS.
    Sns,
    /// Amazon SQS.
    Sqs,
    /// Amazon `EventBridge`.
    Events,
    /// Amazon `EventBridge` Scheduler.
    Scheduler,
    /// AWS Lambda.
    Lambda,
    /// AWS `CloudFormation`.
    CloudFormation,
    /// Microsoft Entra ID.
    Entra,
    /// Azure Resource Manager.
    Arm,
    /// The Docker Hub API.
    Hub,
    /// The token service of Docker's registry.
    HubAuth,
    /// Docker's registry.
    Registry,
}

/// Literal segments of AWS's paths. Segments of ARM's paths are compared without regard to case.
const AWS: &str = "schedules schedule-groups tags service GraniteServiceVersion20100801 operation functions configuration policy \
     aliases versions invocations event-source-mappings concurrency event-invoke-config url provisioned-concurrency \
     account-settings code 2014-11-13 2015-03-31 2016-08-19 2017-03-31 2017-10-31 2019-09-25 2019-09-30 2020-04-22 2020-06-30 2021-10-31";
const ENTRA: &str = "oauth2 v2.0 token .well-known openid-configuration discovery keys devicecode authorize";
const ARM: &str = "subscriptions resourceGroups providers Microsoft.Security securityConnectors healthReports pricings \
     locations operations operationResults operationStatuses Microsoft.Authorization permissions roleAssignments roleDefinitions \
     locks policyAssignments denyAssignments Microsoft.PolicyInsights checkPolicyRestrictions Microsoft.ManagedIdentity \
     userAssignedIdentities federatedIdentityCredentials Microsoft.Resources resources deployments tenants batch";
const HUB: &str = "v2 auth token users user login 2fa-login namespaces repositories tags orgs members groups invites bulk resend \
     access-tokens settings teams access_token logout export";
const HUB_AUTH: &str = "token";
const REGISTRY: &str = "v2 manifests tags list blobs uploads referrers _catalog token";

/// Segments that are followed by a name or an id.
const NAMED: &str = "namespaces repositories orgs members groups access-tokens subscriptions resourceGroups securityConnectors locations \
     roleAssignments roleDefinitions pricings healthReports userAssignedIdentities federatedIdentityCredentials schedules \
     schedule-groups functions aliases manifests blobs referrers deployments locks policyAssignments operation";

/// Names of parameters in queries.
const PARAMETERS: &str = "api-version page page_size ordering name service scope account client_id offline_token search role type \
     $filter $expand $top $skip $skiptoken $select Action Version Qualifier MaxItems Marker NamePrefix GroupName State NextToken \
     MaxResults n last digest from FunctionVersion next status";

impl Service {
    /// Every service.
    pub const ALL: [Service; 15] = [
        Service::SecretsManager,
        Service::Sts,
        Service::Iam,
        Service::CloudWatch,
        Service::Sns,
        Service::Sqs,
        Service::Events,
        Service::Scheduler,
        Service::Lambda,
        Service::CloudFormation,
        Service::Entra,
        Service::Arm,
        Service::Hub,
        Service::HubAuth,
        Service::Registry,
    ];

    /// Returns the name in a transcript.
    pub fn name(self) -> &'static str {
        match self {
            Service::SecretsManager => "secretsmanager",
            Service::Sts => "sts",
            Service::Iam => "iam",
            Service::CloudWatch => "cloudwatch",
            Service::Sns => "sns",
            Service::Sqs => "sqs",
            Service::Events => "events",
            Service::Scheduler => "scheduler",
            Service::Lambda => "lambda",
            Service::CloudFormation => "cloudformation",
            Service::Entra => "entra",
            Service::Arm => "arm",
            Service::Hub => "hub",
            Service::HubAuth => "hubAuth",
            Service::Registry => "registry",
        }
    }

    /// Returns the service of a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    fn segments(self) -> &'static str {
        match self {
            Service::Entra => ENTRA,
            Service::Arm => ARM,
            Service::Hub => HUB,
            Service::HubAuth => HUB_AUTH,
            Service::Registry => REGISTRY,
            _ => AWS,
        }
    }

    /// Returns the path with `{}` for each segment that is not a literal of the service's routes, and the segments
    /// that it replaced.
    pub(super) fn path(self, path: &str) -> (String, Vec<&str>) {
        let (mut kept, mut replaced) = (Vec::new(), Vec::new());
        let mut before = "";
        for segment in path.split('/') {
            let known = self.segments().split_whitespace().find(|known| match self {
                Service::Arm => known.eq_ignore_ascii_case(segment),
                _ => *known == segment,
            });
            let is_name = NAMED.split_whitespace().any(|named| named == before);
            let shown = match known {
                _ if segment.is_empty() || segment == SEGMENT => segment,
                Some(known) if !is_name => known,
                _ => {
                    replaced.push(segment);
                    SEGMENT
                }
            };
            kept.push(shown);
            before = shown;
        }
        (kept.join("/"), replaced)
    }
}

/// Returns the names of a query's parameters, those that are not known as `{}`. Only `api-version` keeps its value.
pub(super) fn query(query: &str) -> BTreeSet<String> {
    let of = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.replace("%24", "$");
        match PARAMETERS.split_whitespace().find(|known| *known == name) {
            Some("api-version") if is_api_version(value) => format!("api-version={value}"),
            Some(known) => known.to_owned(),
            None => SEGMENT.to_owned(),
        }
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(of).collect()
}

/// Returns whether this is an api-version of ARM: a date of this century, and `-preview` if it is not stable.
fn is_api_version(value: &str) -> bool {
    let date = value.strip_suffix("-preview").unwrap_or(value);
    let number = |range: std::ops::Range<usize>| date.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let marks = date
        .bytes()
        .enumerate()
        .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    date.len() == 10
        && marks
        && number(0..4).is_some_and(|year| (2000..2100).contains(&year))
        && number(5..7).is_some_and(|month| (1..=12).contains(&month))
        && number(8..10).is_some_and(|day| (1..=31).contains(&day))
}

/// Returns the method if it is one that clients use.
pub(super) fn method(method: &str) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| *known == method).unwrap_or(SEGMENT)
}

/// Returns the name of a call if it is made of words.
pub(super) fn action(action: &str) -> String {
    if words::is_name(action) && action.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        action.to_owned()
    } else {
        SEGMENT.to_owned()
    }
}

/// A URI in its parts.
pub(super) struct Address<'a> {
    /// Scheme, authority and path.
    pub(super) base: &'a str,
    /// The path.
    pub(super) path: &'a str,
    /// The query, without the question mark.
    pub(super) query: &'a str,
    /// What stands before `@` in the authority, and the fragment.
    pub(super) hidden: Vec<&'a str>,
}

impl<'a> Address<'a> {
    /// Splits an absolute URI.
    pub(super) fn of(uri: &'a str) -> Self {
        let (uri, fragment) = uri.split_once('#').unwrap_or((uri, ""));
        let (base, query) = uri.split_once('?').unwrap_or((uri, ""));
        let authority = base.find("://").map_or(0, |at| at + 3);
        let path = base[authority..].find('/').map_or("", |at| &base[authority + at..]);
        let host = &base[authority..base.len() - path.len()];
        let hidden = host.rsplit_once('@').map(|(user, _)| user).into_iter().flat_map(|user| user.split(':'));
        Self { base, path, query, hidden: hidden.chain([fragment]).collect() }
    }

    /// Returns the path below a base URL, if the address is below it.
    fn below(&self, base: &str) -> Option<&'a str> {
        let base = base.trim_end_matches('/');
        let rest = self.base.get(base.len()..)?;
        let same = self.base.get(..base.len())?.eq_ignore_ascii_case(base);
        (same && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
    }
}

/// Returns the service of an exchange, the path below its base URL, and the name of the call where AWS has one.
/// `None` if it is no service that hubkeeper uses.
pub(super) fn tell<'a>(
    bases: &[(String, Service)],
    address: &Address<'a>,
    exchange: &Exchange<'_>,
    body: Option<&Value>,
) -> Option<(Service, &'a str, Option<String>)> {
    let below = bases.iter().filter_map(|(base, service)| Some((base.len(), *service, address.below(base)?)));
    if let Some((_, service, path)) = below.max_by_key(|(length, ..)| *length) {
        return Some((service, path, None));
    }
    let (service, action) = of_aws(address.path, exchange, body)?;
    Some((service, address.path, action))
}

fn of_aws(path: &str, exchange: &Exchange<'_>, body: Option<&Value>) -> Option<(Service, Option<String>)> {
    if let Some(target) = exchange.request.header("x-amz-target") {
        let (service, call) = target.split_once('.')?;
        let service = match service {
            "secretsmanager" => Service::SecretsManager,
            "AmazonSQS" => Service::Sqs,
            "AWSEvents" => Service::Events,
            "GraniteServiceVersion20100801" => Service::CloudWatch,
            _ => return None,
        };
        return Some((service, Some(action(call))));
    }
    let field = |name: &str| body?.get(name)?.as_str();
    if let (Some(call), Some(version)) = (field("Action"), field("Version")) {
        let service = match version {
            "2011-06-15" => Service::Sts,
            "2010-05-08" => Service::Iam,
            "2010-08-01" => Service::CloudWatch,
            "2010-03-31" => Service::Sns,
            "2010-05-15" => Service::CloudFormation,
            "2012-11-05" => Service::Sqs,
            _ => return None,
        };
        return Some((service, Some(action(call))));
    }
    if let Some(call) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/") {
        return Some((Service::CloudWatch, Some(action(call))));
    }
    // REST: the scope of the signature names the service
    let signature = exchange.request.header("authorization").filter(|value| value.starts_with("AWS4"))?;
    let scope = signature.split_once("Credential=")?.1.split(',').next()?;
    let service = match scope.split('/').nth(3)? {
        "lambda" => Service::Lambda,
        "scheduler" => Service::Scheduler,
        _ => return None,
    };
    Some((service, None))
}
