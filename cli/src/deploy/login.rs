//! The caller's login at AWS: account, partition and Region.

use aws_config::SdkConfig;
use hubkeeper::http::HttpClient;
use hubkeeper_core::config::Environment;

use crate::aws::{Element, Reads, Refusal, Service};
use crate::exit::{Code, Failure};
use crate::local;

/// The login. No `Debug`: it holds credentials.
pub struct Login {
    /// The SDK's configuration.
    pub aws: SdkConfig,
    /// The HTTP client.
    pub http_client: HttpClient,
    /// The environment, which may name endpoints.
    pub environment: Environment,
    /// The account, twelve digits.
    pub account: String,
    /// `aws`, `aws-us-gov` or `aws-cn`.
    pub partition: String,
    /// The Region.
    pub region: String,
}

impl Login {
    /// Logs in, and reads whose login it is.
    ///
    /// # Errors
    /// Returns a failure if nobody is logged in, or no Region is set.
    pub async fn new(environment: &Environment, http_client: HttpClient) -> Result<Self, Failure> {
        let aws = local::aws(&http_client).await?;
        let region = aws.region().map_or_else(String::new, ToString::to_string);
        let (account, partition) = {
            let reads = Reads::new(&aws, environment, &http_client);
            let text = reads.query(Service::Sts, "GetCallerIdentity", &[]).await.map_err(|refusal| {
                if Code::of_aws(Some(&refusal.code)) == Code::Retry {
                    let what = format!("your login at AWS could not be checked: {}", refusal.what);
                    return Failure::new(Code::Retry, what, "run the command again");
                }
                Failure::new(
                    Code::Person,
                    format!("your login at AWS is not accepted: {}", refusal.what),
                    "run aws sso login (or aws configure), or choose a profile with AWS_PROFILE",
                )
            })?;
            identity(&text).ok_or_else(|| {
                Failure::new(Code::Retry, "AWS did not name the account of your login", "run the command again")
            })?
        };
        Ok(Self { aws, http_client, environment: environment.clone(), account, partition, region })
    }

    /// The signed requests of this login.
    pub fn reads(&self) -> Reads<'_> {
        Reads::new(&self.aws, &self.environment, &self.http_client)
    }

    /// The issuer of the account's assertions.
    ///
    /// # Errors
    /// Returns AWS's refusal; [`is_off`] tells that the federation is off.
    pub async fn issuer(&self) -> Result<String, Refusal> {
        let text = self.reads().query(Service::Iam, "GetOutboundWebIdentityFederationInfo", &[]).await?;
        first(&text, "IssuerIdentifier").ok_or_else(|| Refusal {
            code: String::new(),
            what: "GetOutboundWebIdentityFederationInfo: the response of AWS cannot be read".to_owned(),
        })
    }
}

/// Whether outbound web identity federation is off in the account.
pub fn is_off(refusal: &Refusal) -> bool {
    refusal.code.starts_with("FeatureDisabled")
}

/// The failure where the federation is off.
pub fn federation_is_off(account: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("outbound web identity federation is off in account {account}: the function could not log in at Entra"),
        "an administrator turns it on, once for the account: aws iam enable-outbound-web-identity-federation; then run this again",
    )
}

/// The account and the partition of `GetCallerIdentity`.
fn identity(text: &str) -> Option<(String, String)> {
    let account = first(text, "Account").filter(|account| account.bytes().all(|byte| byte.is_ascii_digit()))?;
    let partition = first(text, "Arn")?.split(':').nth(1)?.to_owned();
    Some((account, partition))
}

/// The text of the first element of a name.
pub fn first(text: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(text).ok()?;
    let found = document.descendants().find(|node| node.has_tag_name_in_any(name))?;
    found.text().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_names_account_and_partition() {
        let text = "<R xmlns=\"x\"><Arn>arn:aws-us-gov:sts::111122223333:assumed-role/a/b</Arn><Account>111122223333</Account></R>";
        assert_eq!(identity(text), Some(("111122223333".to_owned(), "aws-us-gov".to_owned())));
        assert_eq!(identity("<R><Account>x</Account><Arn>a:b</Arn></R>"), None);
        assert_eq!(identity("<html>"), None);
    }
}
