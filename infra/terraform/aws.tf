# The stack of infra/aws/template.yaml, from its packaged form.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # known before the stack exists, so that the federated credential can name it
  role_name = lookup(var.parameters, "RoleName", "${var.stack_name}-${var.region}")
  role_arn  = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/${local.role_name}"
}

resource "aws_cloudformation_stack" "hubkeeper" {
  # checkov:skip=CKV_AWS_124: whoever applies sees the stack's events; the function's own topic does not exist yet
  name         = var.stack_name
  template_url = var.template_url
  capabilities = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
  tags         = var.tags
  parameters = merge({
    AzureTenantId = azapi_resource.identity.output.properties.tenantId
    AzureClientId = azapi_resource.identity.output.properties.clientId
  }, var.parameters)

  lifecycle {
    postcondition {
      condition     = self.outputs["RoleArn"] == local.role_arn
      error_message = "The stack's role is not the one that the federated credential names: set region to the Region of the stack."
    }
  }
}
