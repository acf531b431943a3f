//! Sends the AWS SDK's requests through the HTTP client. The SDK signs and parses; [`HttpClient`] sends, waits and
//! retries.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as SdkHttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::HeaderValue;
use hubkeeper_core::time::Timestamp;

use crate::http::client::{Cause, HttpClient, SendError};
use crate::http::exchange::{MayHaveActed, Policy};

/// Every call is safe to repeat: reads, puts with an idempotency token, tags, and stage moves, where
/// `RemoveFromVersionId` makes a repeated move fail without effect.
const POLICY: Policy = Policy::SAFE.within(Duration::from_secs(10));

/// Maximum number of attempts of a throttled call. [`HttpClient`] does not see throttling, because AWS's JSON protocols
/// report it with status 400.
const THROTTLED_ATTEMPTS: u32 = 4;

/// Header that [`SdkHttp`] adds to a response if an earlier attempt may have been carried out. The SDK's errors drop
/// extensions but keep headers.
const MAY_HAVE_ACTED: &str = "x-hubkeeper-may-have-acted";

/// Returns whether AWS may have carried out the call although the response is an error: this attempt or an earlier one
/// got no response or a server error.
pub fn may_have_acted(response: &HttpResponse) -> bool {
    response.headers().contains_key(MAY_HAVE_ACTED) || !response.status().is_client_error()
}

/// Creates a client of an AWS SDK crate from an `SdkConfig` and a [`HttpClient`], without the SDK's retries and timeouts:
/// [`HttpClient`] applies one policy to all requests. A fourth argument replaces the [`SdkHttp`] that sends them.
#[macro_export]
macro_rules! sdk_client {
    ($sdk:ident, $aws:expr, $http_client:expr) => {
        $crate::sdk_client!($sdk, $aws, $http_client, $crate::http::aws::SdkHttp::new($http_client.clone()))
    };
    ($sdk:ident, $aws:expr, $http_client:expr, $sdk_http:expr) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from($aws)
                .http_client($sdk_http)
                .time_source($crate::http::aws::SdkTime::new($http_client.clone()))
                .retry_config($sdk::config::retry::RetryConfig::disabled())
                .timeout_config($sdk::config::timeout::TimeoutConfig::disabled())
                .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
                .build(),
        )
    };
}

/// Implements the SDK's HTTP client with [`HttpClient`].
#[derive(Clone)]
pub struct SdkHttp {
    http_client: HttpClient,
    policy: Policy,
}

impl SdkHttp {
    /// Creates the SDK's HTTP client for one invocation.
    pub fn new(http_client: HttpClient) -> Self {
        Self { http_client, policy: POLICY }
    }

    /// Creates the SDK's HTTP client with another policy, for calls that take long or are not safe to repeat.
    pub fn with(http_client: HttpClient, policy: Policy) -> Self {
        Self { http_client, policy }
    }
}

impl fmt::Debug for SdkHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkHttp")
    }
}

impl SdkHttpClient for SdkHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SdkHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (http_client, policy) = (self.http_client.clone(), self.policy);
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user("a streamed body is not sent".into()))?;
            let request = http::Request::from_parts(parts, body);
            let mut acted = false;
            for attempt in 1.. {
                let mut response = http_client.send(request.clone(), policy).await.map_err(to_connector_error)?;
                acted |= response.extensions().get::<MayHaveActed>().is_some();
                if acted {
                    response.headers_mut().insert(MAY_HAVE_ACTED, HeaderValue::from_static("true"));
                }
                let pause = Duration::from_millis(500 * u64::from(attempt));
                if attempt < THROTTLED_ATTEMPTS && is_throttled(&response) && http_client.wait(pause).await {
                    http_client.count_throttled(&request, pause);
                    continue;
                }
                return HttpResponse::try_from(response.map(SdkBody::from))
                    .map_err(|error| ConnectorError::other(error.into(), None));
            }
            Err(ConnectorError::other("unreachable".into(), None))
        })
    }
}

fn is_throttled(response: &crate::http::exchange::Response) -> bool {
    response.status() == 400 && {
        let head = &response.body()[..response.body().len().min(200)];
        let head = String::from_utf8_lossy(head);
        // the last one is that of the query protocol, as of CloudFormation
        let codes = ["ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "<Code>Throttling</Code>"];
        codes.iter().any(|code| head.contains(code))
    }
}

fn to_connector_error(error: SendError) -> ConnectorError {
    match error.cause {
        Cause::Deadline | Cause::Timeout | Cause::RateLimited => ConnectorError::timeout(Box::new(error)),
        Cause::Unreachable(_) | Cause::Proxy(..) | Cause::Broken(_) | Cause::TooLarge => {
            ConnectorError::io(Box::new(error))
        }
    }
}

/// Gives the SDK the invocation's clock, because signatures contain the time.
#[derive(Clone)]
pub struct SdkTime(HttpClient);

impl SdkTime {
    /// Creates the time source for one invocation.
    pub fn new(http_client: HttpClient) -> Self {
        Self(http_client)
    }
}

impl fmt::Debug for SdkTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkTime")
    }
}

impl aws_smithy_async::time::TimeSource for SdkTime {
    fn now(&self) -> std::time::SystemTime {
        let now: Timestamp = self.0.now();
        now.into()
    }
}
