output "function_name" {
  description = "For the command line hubkeeper (--function), and for invocations by hand."
  value       = aws_cloudformation_stack.hubkeeper.outputs["FunctionName"]
}

output "topic_arn" {
  description = "The topic of all notices."
  value       = aws_cloudformation_stack.hubkeeper.outputs["TopicArn"]
}

output "role_arn" {
  description = "The role that Entra trusts."
  value       = aws_cloudformation_stack.hubkeeper.outputs["RoleArn"]
}

output "client_id" {
  description = "Client id of the identity in Azure."
  value       = azapi_resource.identity.output.properties.clientId
}
