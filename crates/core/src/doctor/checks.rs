//! The checks of `doctor`: name, section, what each needs first, and the page that helps (docs/doctor.md lists them).

/// A group of checks, as `doctor` prints them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Section {
    /// Proxy, certificates, hosts and clock.
    Network,
    /// Secrets Manager and the secret.
    Aws,
    /// The token exchange.
    Entra,
    /// Azure Resource Manager and the connector.
    Arm,
    /// Docker Hub and its registry.
    DockerHub,
    /// The deployed function and what the stack deploys around it.
    Function,
}

impl Section {
    /// All sections, in the order of a report.
    pub const ALL: [Section; 6] =
        [Section::Function, Section::Network, Section::Aws, Section::Entra, Section::Arm, Section::DockerHub];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Network => "Network",
            Section::Aws => "AWS",
            Section::Entra => "Entra",
            Section::Arm => "Azure Resource Manager",
            Section::DockerHub => "Docker Hub",
            Section::Function => "Deployed function",
        }
    }
}

/// One row of the table of checks.
struct Row {
    name: &'static str,
    section: Section,
    title: &'static str,
    needs: &'static [Check],
    page: &'static str,
}

macro_rules! checks {
    ($($check:ident $name:literal $section:ident $title:literal [$($needs:ident),*] $page:literal)*) => {
        /// A check. Each one has a row in docs/doctor.md.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Check {
            $(#[doc = $title] $check,)*
        }

        impl Check {
            /// All checks, in the order in which they run.
            pub const ALL: &'static [Check] = &[$(Check::$check),*];

            fn row(self) -> Row {
                match self {
                    $(Check::$check => Row {
                        name: $name,
                        section: Section::$section,
                        title: $title,
                        needs: &[$(Check::$needs),*],
                        page: $page,
                    },)*
                }
            }
        }
    };
}

checks! {
    Login "login" Function "Your login at AWS" [] "docs/cli.md"
    Function "function" Function "Function and its settings" [Login] "docs/deploy.md"
    Version "version" Function "Version" [Function] "docs/upgrading.md"
    Rights "rights" Function "Rights of its role" [Function] "docs/deploy.md"
    Schedule "schedule" Function "Schedule of the reconcile" [Function] "docs/operating.md"
    Alarms "alarms" Function "Alarms" [Function] "docs/operating.md"
    Notices "notices" Function "Topic of the notices" [Function] "docs/operating.md"
    Reconcile "reconcile" Function "Last reconcile" [Schedule] "docs/operating.md"

    Proxy "proxy" Network "Proxy" [] "docs/configuration.md"
    Roots "roots" Network "Trusted certificates" [] "docs/configuration.md"
    ReachAws "reachAws" Network "AWS responds" [] "docs/configuration.md"
    ReachEntra "reachEntra" Network "Entra responds" [] "docs/configuration.md"
    ReachArm "reachArm" Network "Azure Resource Manager responds" [] "docs/configuration.md"
    ReachHub "reachDockerHub" Network "Docker Hub and its registry respond" [] "docs/configuration.md"
    Clock "clock" Network "Clock" [] "docs/operating.md"

    Identity "identity" Aws "Who am I" [ReachAws, Clock] "docs/deploy.md"
    List "list" Aws "Managed secrets" [Identity] "docs/deploy.md"
    Secret "secret" Aws "Secret" [Identity] "docs/secret.md"
    Versions "versions" Aws "Versions of the secret" [Secret] "docs/deploy.md"
    Value "value" Aws "Value of the secret" [Secret] "docs/deploy.md"
    Document "document" Aws "Document" [Value] "docs/secret.md"
    Manager "manager" Aws "Manager secret" [Document] "docs/secret.md"
    Owner "owner" Aws "Owner secret" [Document] "docs/secret.md"

    Assertion "assertion" Entra "Credential for Entra" [Identity] "docs/deploy.md"
    Exchange "exchange" Entra "Token exchange" [Assertion, ReachEntra] "docs/deploy.md"

    Subscription "subscription" Arm "Subscription" [Exchange, Document, ReachArm] "docs/deploy.md"
    Role "role" Arm "Role on the resource group" [Subscription] "docs/deploy.md"
    Permissions "permissions" Arm "Right to write the connector" [Role] "docs/deploy.md"
    Group "group" Arm "Resource group" [Role] "docs/secret.md"
    Provider "provider" Arm "Resource provider and api-version" [Group] "docs/deploy.md"
    Connector "connector" Arm "Connector" [Provider] "docs/secret.md"
    Policies "policies" Arm "Azure Policy" [Group] "docs/deploy.md"
    Plans "plans" Arm "Defender plans" [Subscription] "docs/deploy.md"

    RateLimit "rateLimit" DockerHub "Rate limit" [ReachHub] "docs/proof.md"
    TokenLogin "tokenLogin" DockerHub "Login with the token" [Document, ReachHub] "docs/proof.md"
    Tags "tags" DockerHub "Tags" [TokenLogin] "docs/proof.md"
    Proof "proof" DockerHub "Proof" [Tags] "docs/proof.md"
    ManagerLogin "managerLogin" DockerHub "Login of the manager" [Manager, ReachHub] "docs/secret.md"
}

impl Check {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The check with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|check| check.name() == name)
    }

    /// The section that it belongs to.
    pub fn section(self) -> Section {
        self.row().section
    }

    /// What is printed.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// The checks that must have passed before.
    pub fn needs(self) -> &'static [Check] {
        self.row().needs
    }

    /// The page of this repository that helps with a failure.
    pub fn page(self) -> &'static str {
        self.row().page
    }

    /// Whether the deployed function runs this check. The command line runs the others.
    pub fn is_function_s(self) -> bool {
        self.section() != Section::Function
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_check_needs_only_checks_that_run_before_it() {
        for (at, check) in Check::ALL.iter().enumerate() {
            for needed in check.needs() {
                let before = Check::ALL.iter().position(|other| other == needed).unwrap();
                assert!(before < at, "{} needs {}", check.name(), needed.name());
            }
        }
    }

    #[test]
    fn a_name_belongs_to_one_check() {
        let names: BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        assert!(Check::ALL.iter().all(|check| Check::named(check.name()) == Some(*check)));
        assert_eq!(Check::named("nothing"), None);
    }

    #[test]
    fn the_function_needs_nothing_that_only_the_command_line_checks() {
        for check in Check::ALL.iter().filter(|check| check.is_function_s()) {
            assert!(check.needs().iter().all(|needed| needed.is_function_s()), "{}", check.name());
        }
    }
}
