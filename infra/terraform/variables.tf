variable "stack_name" {
  type        = string
  default     = "hubkeeper"
  description = "Name of the CloudFormation stack, and of the identity in Azure."
}

variable "region" {
  type        = string
  description = "AWS Region of the stack: the one of the provider."
}

variable "template_url" {
  type        = string
  description = "Address of the packaged template in S3. The package that it names is in a bucket of the stack's Region."
}

variable "parameters" {
  type        = map(string)
  default     = {}
  description = "Further parameters of the template, as docs/deploy.md lists them. None of them is a secret."
}

variable "aws_issuer" {
  type        = string
  description = "Issuer of the AWS account: aws iam get-outbound-web-identity-federation-info."
}

variable "resource_group_id" {
  type        = string
  description = "Resource id of the connectors' resource group, /subscriptions/<id>/resourceGroups/<name>. It must exist."
}

variable "location" {
  type        = string
  description = "Azure location of the identity."
}

variable "audience" {
  type        = string
  default     = "api://AzureADTokenExchange"
  description = "Audience of the assertion; api://AzureADTokenExchangeUSGov with AzureCloud=us-government."
}

variable "allow_delete" {
  type        = bool
  default     = true
  description = "Whether the role in Azure may delete connectors. Only offboard needs that."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the stack, which CloudFormation copies to its resources, and of the identity."
}
