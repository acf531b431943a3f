//! Checks what the template adds for a VPC and for a permissions boundary.

use serde_json::json;

use super::referred;
use super::template::Template;

#[test]
fn the_network_of_a_vpc_is_lambda_s_alone() {
    let template = Template::read();
    let network: Vec<_> =
        template.statements().into_iter().filter(|(_, found)| found["Action"].to_string().contains("ec2:")).collect();
    assert_eq!(network.len(), 3);
    for (condition, statement) in &network {
        assert_eq!(condition.as_deref(), Some("HasVpc"), "{statement}");
    }
    let denied = template.statement("NotByTheCode");
    assert_eq!(
        (&denied["Effect"], &denied["Action"], &denied["Resource"]),
        (&json!("Deny"), &json!("ec2:*"), &json!("*"))
    );
    let of_a_function = "arn:${AWS::Partition}:lambda:*:${AWS::AccountId}:function:*";
    assert_eq!(denied["Condition"], json!({"ArnLike": {"lambda:SourceFunctionArn": {"Fn::Sub": of_a_function}}}));
    let function = template.properties("HubkeeperFunction");
    let ids = |parameter: &str| json!({"Fn::Split": [",", {"Ref": parameter}]});
    let expected = json!({"SubnetIds": ids("SubnetIds"), "SecurityGroupIds": ids("SecurityGroupIds")});
    assert_eq!(function["VpcConfig"]["Fn::If"], json!(["HasVpc", expected, {"Ref": "AWS::NoValue"}]));
}

#[test]
fn both_roles_have_the_permissions_boundary() {
    let template = Template::read();
    let roles = template.of_type("AWS::IAM::Role");
    assert_eq!(roles.len(), 2);
    for (name, role) in roles {
        assert_eq!(referred(&role["PermissionsBoundary"]), "PermissionsBoundaryArn", "{name}");
    }
}
