//! The options of `hubkeeper deploy` and `hubkeeper destroy`.

use std::path::PathBuf;

use clap::Args;

/// The file of choices where nobody names another.
pub const CONFIG: &str = "hubkeeper-deploy.toml";

/// `hubkeeper deploy`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Deploy {
    /// Folder of a release; the default is the folder of this program, else the current one
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["build", "rollback"])]
    pub release: Option<PathBuf>,
    /// Build the release from this checkout; needs Rust and make
    #[arg(long, conflicts_with = "rollback")]
    pub build: bool,
    /// Name of the stack; HUBKEEPER_STACK, else `hubkeeper`, is the default
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// File that keeps your choices, without secrets
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Parameter of the stack; without `=value` from the environment, or asked for and not shown
    #[arg(long = "set", value_name = "NAME=VALUE", conflicts_with = "rollback")]
    pub parameters: Vec<String>,
    /// Bucket for the function's package; the default is hubkeeper-ACCOUNT-REGION, made on first use
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Deploy the stack in AWS alone
    #[arg(long, conflicts_with = "azure_only")]
    pub aws_only: bool,
    /// Deploy the identity in Azure alone
    #[arg(long, conflicts_with = "rollback")]
    pub azure_only: bool,
    /// Azure resource group of the connectors, which gets the identity
    #[arg(long, value_name = "NAME", conflicts_with = "aws_only")]
    pub resource_group: Option<String>,
    /// Name of the identity in Azure; the default is the stack's
    #[arg(long, value_name = "NAME", conflicts_with = "aws_only")]
    pub identity: Option<String>,
    /// Parameter of the template in Azure
    #[arg(long = "azure-set", value_name = "NAME=VALUE", conflicts_with = "aws_only")]
    pub azure_parameters: Vec<String>,
    /// Issuer of the AWS account's assertions, where AWS cannot be asked
    #[arg(long, value_name = "URL", requires = "role_arn", requires = "azure_only")]
    pub issuer: Option<String>,
    /// ARN of the function's role, where AWS cannot be asked
    #[arg(long, value_name = "ARN", requires = "issuer", requires = "azure_only")]
    pub role_arn: Option<String>,
    /// Return the stack to what it was before its last update
    #[arg(long)]
    pub rollback: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub plan: bool,
    /// Do not ask before anything is changed
    #[arg(short, long, conflicts_with = "plan")]
    pub yes: bool,
}

/// `hubkeeper destroy`.
#[derive(Args, Debug)]
pub struct Destroy {
    /// Name of the stack; HUBKEEPER_STACK, else `hubkeeper`, is the default
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// The stack's name once more, instead of the question
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    pub confirm: Option<String>,
    /// Show what would be deleted, and delete nothing
    #[arg(long)]
    pub plan: bool,
}
