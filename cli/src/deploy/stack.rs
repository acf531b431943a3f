//! What the status of a stack allows. Pure.

use super::parameters::Values;
use crate::exit::{Code, Failure};

/// A stack as `DescribeStacks` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    /// Its status, such as `CREATE_COMPLETE`.
    pub status: String,
    /// Its parameters. A hidden value is `****`.
    pub parameters: Values,
    /// Its outputs.
    pub outputs: Values,
}

impl Stack {
    /// Whether it was never created: a change set waits for its first execution.
    pub fn is_only_reviewed(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    /// Whether an operation is in progress.
    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && !self.is_only_reviewed()
    }
}

/// What a deployment does with the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// It creates the stack.
    Create,
    /// It updates the stack.
    Update,
}

/// Decides what a deployment does with the stack.
///
/// # Errors
/// Returns a failure if the status allows no deployment.
pub fn operation(name: &str, stack: Option<&Stack>) -> Result<Operation, Failure> {
    let Some(stack) = stack.filter(|stack| !stack.is_only_reviewed()) else { return Ok(Operation::Create) };
    let status = stack.status.as_str();
    if stack.is_busy() {
        return Err(busy(name, status));
    }
    match status {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => Err(Failure::new(
            Code::Person,
            format!("the stack {name} is {status} and cannot be updated"),
            format!("delete it: hubkeeper destroy --stack {name}; then deploy again"),
        )),
        "UPDATE_ROLLBACK_FAILED" => Err(Failure::new(
            Code::Person,
            format!("the stack {name} is {status} and cannot be updated"),
            format!(
                "correct what its events name (aws cloudformation describe-stack-events --stack-name {name}), then run aws cloudformation continue-update-rollback --stack-name {name}"
            ),
        )),
        "UPDATE_FAILED" => Err(Failure::new(
            Code::Person,
            format!("the stack {name} is {status} and cannot be updated"),
            format!("roll it back: aws cloudformation rollback-stack --stack-name {name}; then deploy again"),
        )),
        _ => Ok(Operation::Update),
    }
}

/// The failure of a stack that another operation changes.
pub fn busy(name: &str, status: &str) -> Failure {
    Failure::new(
        Code::Retry,
        format!("the stack {name} is {status}"),
        format!(
            "wait until it has finished (aws cloudformation describe-stacks --stack-name {name}), then run this again"
        ),
    )
}

/// The ARN that the function's role has, or will have: the template names the role after stack and Region.
///
/// # Errors
/// Returns a usage failure if IAM or `CloudFormation` would refuse the name.
pub fn role_arn(stack: &str, region: &str, account: &str, partition: &str) -> Result<String, Failure> {
    let name = format!("{stack}-{region}");
    let is_name = stack.starts_with(|first: char| first.is_ascii_alphabetic())
        && stack.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        return Err(Failure::usage(
            "the name of the stack is not one of CloudFormation",
            "use letters, digits and hyphens, with a letter first (--stack)",
        ));
    }
    if name.len() > 64 {
        return Err(Failure::usage(
            format!("the role's name {name} has more than 64 characters"),
            "choose a shorter name with --stack",
        ));
    }
    Ok(format!("arn:{partition}:iam::{account}:role/{name}"))
}

/// The processor of the function: as given, else as in the stack, else arm64 if the release has it.
///
/// # Errors
/// Returns a failure if the release has no package for it.
pub fn architecture(given: Option<&str>, stack: Option<&str>, offered: &[&str]) -> Result<String, Failure> {
    if let Some(given) = given.filter(|given| !super::release::ARCHITECTURES.contains(given)) {
        return Err(Failure::usage(
            format!("Architecture={} is not an architecture of Lambda", hubkeeper_core::redact::name(given)),
            "use arm64 or x86_64",
        ));
    }
    let Some(wanted) = given.or(stack).or(offered.first().copied()) else {
        return Err(Failure::new(
            Code::Person,
            "the release holds no package of the function",
            "take the whole release again",
        ));
    };
    if offered.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    Err(Failure::new(
        Code::Person,
        format!("the release has no package for {wanted}, only for {}", offered.join(" and ")),
        format!(
            "take the release with that package, or move the function: --set Architecture={}",
            offered.first().unwrap_or(&"arm64")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(status: &str) -> Stack {
        Stack { status: status.to_owned(), ..Stack::default() }
    }

    #[test]
    fn the_status_decides() {
        assert_eq!(operation("s", None), Ok(Operation::Create));
        assert_eq!(operation("s", Some(&stack("REVIEW_IN_PROGRESS"))), Ok(Operation::Create));
        for status in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"] {
            assert_eq!(operation("s", Some(&stack(status))), Ok(Operation::Update), "{status}");
        }
        for (status, code, words) in [
            ("ROLLBACK_COMPLETE", Code::Person, "hubkeeper destroy --stack s"),
            ("ROLLBACK_FAILED", Code::Person, "hubkeeper destroy --stack s"),
            ("CREATE_FAILED", Code::Person, "hubkeeper destroy --stack s"),
            ("DELETE_FAILED", Code::Person, "hubkeeper destroy --stack s"),
            ("UPDATE_FAILED", Code::Person, "rollback-stack"),
            ("UPDATE_ROLLBACK_FAILED", Code::Person, "continue-update-rollback"),
            ("UPDATE_IN_PROGRESS", Code::Retry, "wait"),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Code::Retry, "wait"),
        ] {
            let failure = operation("s", Some(&stack(status))).unwrap_err();
            assert_eq!(failure.code, code, "{status}");
            assert!(failure.what.contains(status) && failure.remedy.contains(words), "{failure:?}");
        }
    }

    #[test]
    fn a_role_s_arn_is_known_before_the_role() {
        let arn = role_arn("hubkeeper", "eu-west-1", "111122223333", "aws");
        assert_eq!(arn.as_deref(), Ok("arn:aws:iam::111122223333:role/hubkeeper-eu-west-1"));
        assert!(role_arn(&"s".repeat(60), "eu-west-1", "1", "aws").unwrap_err().what.contains("64 characters"));
        assert!(role_arn("a_b", "eu-west-1", "1", "aws").is_err() && role_arn("1a", "eu-west-1", "1", "aws").is_err());
    }

    #[test]
    fn a_stack_keeps_its_processor() {
        let both = ["arm64", "x86_64"];
        assert_eq!(architecture(None, None, &both).as_deref(), Ok("arm64"));
        assert_eq!(architecture(None, Some("x86_64"), &both).as_deref(), Ok("x86_64"));
        assert_eq!(architecture(Some("arm64"), Some("x86_64"), &both).as_deref(), Ok("arm64"));
        assert_eq!(architecture(None, None, &["x86_64"]).as_deref(), Ok("x86_64"));
        let failure = architecture(None, Some("arm64"), &["x86_64"]).unwrap_err();
        assert!(failure.what.contains("no package for arm64") && failure.remedy.contains("Architecture=x86_64"));
        assert_eq!(architecture(Some("riscv"), None, &both).unwrap_err().code, Code::Usage);
        assert_eq!(architecture(None, None, &[]).unwrap_err().code, Code::Person);
    }
}
