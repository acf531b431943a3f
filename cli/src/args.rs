//! The command line as a value: what clap parses, and what completions and man pages are made of. The comments are the
//! texts of the help.
#![expect(clippy::doc_markdown, reason = "the help shows no backticks")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit::Failure;

mod deploy;

pub use deploy::{CONFIG, Deploy, Destroy};

const AFTER: &str = "\
Exit codes: 0 done, or the token is complete; 1 refused; 2 wrong usage; 3 not known, try again; 4 misconfigured, or a person is \
needed; 130 interrupted.

A token is read from standard input, a hidden prompt, --token-file or HUBKEEPER_TOKEN, never from an argument.";

/// Deploys hubkeeper, proves Docker Hub tokens, and shows, stages, plans and repairs what hubkeeper keeps.
#[derive(Parser, Debug)]
#[command(name = "hubkeeper", version, after_help = AFTER, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
}

/// Options of all commands.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Form of the result on standard output; json is the function's report, unchanged
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Print no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print the log of the run on standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The form of a result.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// A page for a browser; `status` only.
    Html,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Prove that a token reads a whole organization, and can do nothing more
    #[command(after_help = "\
Examples:
  hubkeeper verify acme --username acme-scanner < token.txt
  hubkeeper verify acme --username acme-scanner --expect 'billing,team-*'
  hubkeeper verify --secret hubkeeper/acme --candidate")]
    Verify(Verify),
    /// Show every managed secret: its state, what to do, days left, versions, proof, health; worst first
    #[command(after_help = "\
Exit code: 0 where nothing needs anybody, 4 where a person has to act, 3 where a secret could not be read.")]
    Status(Status),
    /// Prove a new token, and stage it as HUBKEEPER_CANDIDATE: the function adopts it
    Stage(Stage),
    /// Create the secret of an organization: asks for what is missing, and checks connector, logins and token first
    #[command(after_help = "\
Examples:
  hubkeeper init acme
  hubkeeper init acme --dry-run
  hubkeeper init acme --username acme-scanner --manager hubkeeper-manager/acme \\
      --subscription 00000000-0000-4000-8000-000000000001 --resource-group rg-security --location westeurope --yes

A token comes from --token-file or HUBKEEPER_TOKEN; without --manager and --owner also from standard input or a hidden prompt.")]
    Init(Box<Init>),
    /// Create the secret of a connector that somebody made in the portal, and let the function take it over
    #[command(after_help = "\
Examples:
  hubkeeper import --connector /subscriptions/…/securityConnectors/dockerhub-acme --plan
  hubkeeper import --connector /subscriptions/…/securityConnectors/dockerhub-acme --username acme-scanner < token.txt
  hubkeeper import --connector /subscriptions/…/securityConnectors/dockerhub-acme --manager hubkeeper-manager/acme

Azure is read with your login of the Azure CLI. A token comes from --token-file or HUBKEEPER_TOKEN; without --manager also from standard
input or a hidden prompt.")]
    Import(Box<Import>),
    /// Print a JSON Schema, for editors and checks
    #[command(after_help = "\
Example:
  hubkeeper schema secret > secret.schema.json")]
    Schema {
        /// What the schema describes
        of: Described,
    },
    /// Prove the token of a secret, and create or update its connector
    Onboard(Onboard),
    /// Prove again, repair drifted or missing connectors, retire replaced tokens
    Reconcile(Reconcile),
    /// Delete the connector of a secret, and stop keeping it
    Offboard(Act),
    /// Start a rotation, and follow its four steps
    Rotate(Rotate),
    /// Check everything that hubkeeper needs, and say what is wrong and what to do; writes nothing
    #[command(after_help = "\
Examples:
  hubkeeper doctor
  hubkeeper doctor --secret hubkeeper/acme
  hubkeeper doctor --secret hubkeeper/acme --record transcript.json

The deployed function runs the checks of network, AWS, Entra, Azure Resource Manager and Docker Hub, since only it has its role and
its network. Where no function is deployed yet, or with --local, they run here with your own credentials.

Exit code: 0 where nothing failed, 4 where something has to be corrected, 3 where every failure may pass by itself.")]
    Doctor(Doctor),
    /// Deploy hubkeeper to AWS and Azure, update it, or roll it back: shows what changes, and asks first
    #[command(after_help = "\
Examples:
  hubkeeper deploy --resource-group rg-security
  hubkeeper deploy --release hubkeeper-0.2.0 --set NotificationEmail=security@example.com
  hubkeeper deploy --plan
  hubkeeper deploy --rollback

The Azure CLI (az) creates the identity in Azure with your login. Your choices are kept in hubkeeper-deploy.toml, without secrets.")]
    Deploy(Box<Deploy>),
    /// Delete the stack in AWS, and say what remains; asks for the stack's name first
    #[command(after_help = "\
Examples:
  hubkeeper destroy --plan
  hubkeeper destroy --confirm hubkeeper")]
    Destroy(Destroy),
    /// Print a completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    Man {
        /// Folder for one page of each command; without it the page of all goes to standard output
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// `hubkeeper verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The Docker Hub organization whose repositories the token must read
    #[arg(required_unless_present = "secret", conflicts_with = "secret")]
    pub organization: Option<String>,
    /// The token's Docker Hub user; not needed for an organization access token
    #[arg(short, long)]
    pub username: Option<String>,
    /// Repositories that must be readable; `prefix*` means at least one with this prefix
    #[arg(long, value_name = "NAME,PREFIX*", value_delimiter = ',')]
    pub expect: Vec<String>,
    /// Repositories that may be unreadable
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Where the token comes from.
    #[command(flatten)]
    pub token: Token,
    /// Prove what this secret holds instead, compared with the token in use
    #[arg(long, value_name = "ID", conflicts_with_all = ["username", "expect", "exclude", "token_file"])]
    pub secret: Option<String>,
    /// The version of the secret, by its id
    #[arg(long, value_name = "ID", requires = "secret", conflicts_with = "candidate")]
    pub version: Option<String>,
    /// The version that is staged HUBKEEPER_CANDIDATE
    #[arg(long, requires = "secret")]
    pub candidate: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// Where a token comes from.
#[derive(Args, Clone, Debug)]
pub struct Token {
    /// File with the token; the default is HUBKEEPER_TOKEN, else standard input, else a hidden prompt
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// The deployed function.
#[derive(Args, Clone, Debug, Default)]
pub struct Function {
    /// Name or ARN of the deployed function; HUBKEEPER_FUNCTION is the default
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Stack that names the function in its outputs; HUBKEEPER_STACK, else `hubkeeper`, is the default
    #[arg(long, value_name = "NAME", conflicts_with = "function")]
    pub stack: Option<String>,
}

/// `hubkeeper status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Names or ARNs of secrets; all managed ones by default
    pub ids: Vec<String>,
    /// Show it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30", value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
    /// Read with your own credentials, not through the deployed function
    #[arg(long)]
    pub local: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// `hubkeeper stage`.
#[derive(Args, Debug)]
pub struct Stage {
    /// Name or ARN of the secret
    pub id: String,
    /// When the token expires: a date or a time (RFC 3339), or `never`
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// Where the token comes from.
    #[command(flatten)]
    pub token: Token,
    /// Seconds to wait for the adoption; 0 stages only
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub wait: u64,
    /// Do not ask before the version is put
    #[arg(short, long)]
    pub yes: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// `hubkeeper init`.
#[derive(Args, Debug)]
pub struct Init {
    /// The Docker Hub organization, in lower case
    pub organization: String,
    /// The dedicated Docker Hub user; not needed for an organization access token
    #[arg(short, long)]
    pub username: Option<String>,
    /// Name or ARN of the manager secret: with it hubkeeper makes the tokens
    #[arg(long, value_name = "ID")]
    pub manager: Option<String>,
    /// Name or ARN of the owner secret: with it hubkeeper invites the user
    #[arg(long, value_name = "ID")]
    pub owner: Option<String>,
    /// E-mail address of the user to invite; with --owner
    #[arg(long, value_name = "ADDRESS")]
    pub invite_email: Option<String>,
    /// Role of the user to invite; the default is editor
    #[arg(long, value_name = "ROLE", value_enum, requires = "invite_email")]
    pub invite_role: Option<InviteRole>,
    /// Team of the user to invite
    #[arg(long, value_name = "TEAM", requires = "invite_email")]
    pub invite_team: Option<String>,
    /// Azure subscription of the connector, a uuid
    #[arg(long, value_name = "ID")]
    pub subscription: Option<String>,
    /// Existing resource group of the connector
    #[arg(long, value_name = "NAME")]
    pub resource_group: Option<String>,
    /// Name of the connector; the default is dockerhub-ORG
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// Azure location of a new connector
    #[arg(long, value_name = "LOCATION")]
    pub location: Option<String>,
    /// Plans of Defender; the default is all
    #[arg(long, value_name = "PLAN,…", value_enum, value_delimiter = ',')]
    pub plans: Vec<PlanName>,
    /// Hours between two scans, 1 to 24; the default is 24
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u8).range(1..=24))]
    pub scan_interval: Option<u8>,
    /// Repositories that the token must read; `prefix*` means at least one with this prefix
    #[arg(long, value_name = "NAME,PREFIX*", value_delimiter = ',')]
    pub expect: Vec<String>,
    /// Repositories that may be unreadable
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// When the token expires: a date or a time (RFC 3339), or `never`
    #[arg(long, value_name = "TIME", conflicts_with = "no_token")]
    pub expires_at: Option<String>,
    /// Where the token comes from.
    #[command(flatten)]
    pub token: Token,
    /// Create the secret without a token: hubkeeper stage puts one later
    #[arg(long, conflicts_with = "token_file")]
    pub no_token: bool,
    /// Name of the secret; the default is the stack's prefix, else `hubkeeper/`, and the organization
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// KMS key that encrypts the secret; the default is AWS's own key
    #[arg(long, value_name = "KEY")]
    pub kms_key: Option<String>,
    /// Make all checks and print the document, and create nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before the secret is created
    #[arg(short, long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// `hubkeeper import`.
#[derive(Args, Debug)]
pub struct Import {
    /// Resource id of the connector, in any letter case: /subscriptions/…/securityConnectors/NAME
    #[arg(long, value_name = "ID")]
    pub connector: String,
    /// The dedicated Docker Hub user; the default is the connector's user
    #[arg(short, long)]
    pub username: Option<String>,
    /// Name or ARN of the manager secret: with it hubkeeper makes the tokens
    #[arg(long, value_name = "ID")]
    pub manager: Option<String>,
    /// Repositories that the token must read; `prefix*` means at least one with this prefix
    #[arg(long, value_name = "NAME,PREFIX*", value_delimiter = ',')]
    pub expect: Vec<String>,
    /// Repositories that may be unreadable
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// When the token expires: a date or a time (RFC 3339), or `never`
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// Where the token comes from.
    #[command(flatten)]
    pub token: Token,
    /// Name of the secret; the default is the stack's prefix, else `hubkeeper/`, and the organization
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// KMS key that encrypts the secret; the default is AWS's own key
    #[arg(long, value_name = "KEY")]
    pub kms_key: Option<String>,
    /// Make all checks, show what would change, and write nothing; --dry-run is the same
    #[arg(long, alias = "dry-run")]
    pub plan: bool,
    /// Do not ask before the secret is created and the connector is taken over
    #[arg(short, long, conflicts_with = "plan")]
    pub yes: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// A role that an invitation may give.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteRole {
    /// May create, edit and delete repositories.
    Editor,
    /// Reads what its teams may read.
    Member,
}

/// A plan of Defender, as the secret spells it.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[value(rename_all = "camelCase")]
pub enum PlanName {
    /// The offering `CspmMonitorDockerHub`.
    FoundationalCspm,
    /// The offering `DefenderForContainersDockerHub`.
    Containers,
    /// The offering `DefenderCspmDockerHub`.
    DefenderCspm,
}

/// What a schema describes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Described {
    /// The document of an organization's secret.
    Secret,
    /// The manager secret.
    Manager,
    /// The owner secret.
    Owner,
    /// The events of the function.
    Event,
    /// What the function returns.
    Report,
}

/// Options of the commands that the deployed function runs.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Act {
    /// Names or ARNs of secrets
    #[arg(required_unless_present = "all")]
    pub ids: Vec<String>,
    /// All managed secrets
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Print the steps, and write nothing
    #[arg(long)]
    pub plan: bool,
    /// Plan with your own credentials, not through the deployed function
    #[arg(long, requires = "plan")]
    pub local: bool,
    /// Do not ask before anything is written
    #[arg(short, long, conflicts_with = "plan")]
    pub yes: bool,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// `hubkeeper onboard`.
#[derive(Args, Debug)]
pub struct Onboard {
    /// Options of the commands that the deployed function runs.
    #[command(flatten)]
    pub act: Act,
    /// Write the connector though nothing changed
    #[arg(long)]
    pub force: bool,
    /// Give the dedicated user the role that the secret asks for
    #[arg(long)]
    pub fix_role: bool,
}

/// `hubkeeper reconcile`.
#[derive(Args, Debug)]
pub struct Reconcile {
    /// Options of the commands that the deployed function runs.
    #[command(flatten)]
    pub act: Act,
    /// After a leak: retire replaced tokens without the grace period
    #[arg(long, conflicts_with = "all")]
    pub revoke_replaced: bool,
}

/// `hubkeeper doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Name or ARN of the secret to check; the only managed one by default
    #[arg(long, value_name = "ID")]
    pub secret: Option<String>,
    /// Run every check here with your own credentials, not through the deployed function
    #[arg(long)]
    pub local: bool,
    /// Write the exchanges with all services into this file: no secret, no id, no name, no value
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The deployed function.
    #[command(flatten)]
    pub function: Function,
}

/// `hubkeeper rotate`.
#[derive(Args, Debug)]
pub struct Rotate {
    /// Options of the commands that the deployed function runs.
    #[command(flatten)]
    pub act: Act,
    /// Seconds to follow the rotation; 0 starts it only
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub wait: u64,
}

/// Parses the command line.
///
/// # Errors
/// Returns clap's error: help and version too. Its text quotes nothing that could be a token.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Rejected> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let texts: Vec<String> = arguments.iter().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    if texts.iter().any(|text| text.contains(DOCKER_TOKEN)) {
        return Err(Rejected::Token(token_as_argument()));
    }
    Cli::try_parse_from(&arguments).map_err(|error| {
        if texts.iter().any(|text| may_be_a_token(text)) {
            Rejected::Token(token_as_argument())
        } else {
            Rejected::Clap(Box::new(error))
        }
    })
}

/// What every token of Docker Hub begins with.
const DOCKER_TOKEN: &str = "dckr_";

fn token_as_argument() -> Failure {
    Failure::usage(
        "an argument looks like a token or password: arguments show in process lists and in the shell's history",
        "revoke it if it is real; pass a token on standard input, at the prompt, with --token-file or in HUBKEEPER_TOKEN",
    )
}

/// Why a command line was not accepted.
pub enum Rejected {
    /// Clap's error, which may also be the help.
    Clap(Box<clap::Error>),
    /// An argument looks like a token, so clap's text, which quotes it, is not printed.
    Token(Failure),
}

/// Whether an argument that clap does not accept could be a credential: a long word of mixed characters.
fn may_be_a_token(argument: &str) -> bool {
    let value = argument.rsplit_once('=').map_or(argument, |(_, value)| value);
    let mixed = value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    value.len() >= 20 && mixed && plain && !argument.starts_with("arn:") && !hubkeeper_core::ids::is_uuid(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_token_among_the_arguments_is_not_quoted() {
        for arguments in [
            &["hubkeeper", "verify", "acme", "dckr_pat_abc"][..],
            &["hubkeeper", "status", "dckr_pat_abc"],
            &["hubkeeper", "verify", "acme", "--token=dckr_oat_abc"],
            &["hubkeeper", "verify", "acme", "--token", "aB3aB3aB3aB3aB3aB3aB3"],
        ] {
            let rejected = parse(arguments.iter().map(OsString::from));
            let Err(Rejected::Token(failure)) = rejected else { panic!("{arguments:?}") };
            assert!(!format!("{failure:?}").contains("abc") && !format!("{failure:?}").contains("aB3"));
        }
    }

    #[test]
    fn ids_and_options_are_no_tokens() {
        for argument in [
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-JphG1p",
            "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01",
            "--revoke-replaced",
            "hubkeeper/acme",
            "a-long-organization-name",
        ] {
            assert!(!may_be_a_token(argument), "{argument}");
        }
    }
}
