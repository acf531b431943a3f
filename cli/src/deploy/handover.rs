//! What an administrator of Azure has to run, for a person who may not. Pure.

/// What the command names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handover<'a> {
    /// The resource group; `None` if nobody named one.
    pub group: Option<&'a str>,
    /// The identity.
    pub identity: &'a str,
    /// The file with the template.
    pub template: &'a str,
    /// The issuer of the AWS account; `None` if it could not be read.
    pub issuer: Option<&'a str>,
    /// The audience of its Azure cloud.
    pub audience: &'a str,
    /// The role of the function.
    pub role: &'a str,
    /// The options that name the stack and its file, for the next command: empty, or with a space in front.
    pub options: &'a str,
}

/// The text for the administrator, and the next command.
pub fn text(handover: &Handover<'_>) -> String {
    let Handover { group, identity, template, issuer, audience, role, options } = handover;
    let group = group.unwrap_or("<resource group of the connectors>");
    let issuer =
        issuer.unwrap_or("<aws iam get-outbound-web-identity-federation-info --query IssuerIdentifier --output text>");
    format!(
        "an administrator of Azure runs this, with the file {template} (it creates no secret):\n\n\
         \x20 az deployment group create --name {identity} --resource-group {group} --template-file {template} \\\n\
         \x20     --parameters identityName={identity} awsIssuer={issuer} \\\n\
         \x20         awsRoleArn={role} audience={audience}\n\n\
         \x20 az deployment group show --name {identity} --resource-group {group} \\\n\
         \x20     --query \"properties.outputs.[tenantId.value, clientId.value]\" --output tsv\n\n\
         \x20 Then continue with the two ids that the second command prints:\n\n\
         \x20 hubkeeper deploy --aws-only --set AzureTenantId=<the first> --set AzureClientId=<the second>{options}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_role_and_issuer() {
        let handover = Handover {
            group: Some("rg-security"),
            identity: "hubkeeper",
            template: "hubkeeper-azure-1.0.0.json",
            issuer: Some("https://issuer"),
            audience: crate::deploy::azure::AUDIENCE,
            role: "arn:aws:iam::1:role/r",
            options: " --stack other",
        };
        let text = super::text(&handover);
        for words in [
            "--resource-group rg-security",
            "awsIssuer=https://issuer",
            "awsRoleArn=arn:aws:iam::1:role/r",
            "audience=api://AzureADTokenExchange",
            "--template-file hubkeeper-azure-1.0.0.json",
            "AzureClientId=<the second> --stack other",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let unknown = super::text(&Handover { group: None, issuer: None, ..handover });
        assert!(unknown.contains("<resource group") && unknown.contains("get-outbound-web-identity-federation-info"));
    }
}
