region            = "eu-west-1"
template_url      = "https://hubkeeper-packages-eu-west-1.s3.eu-west-1.amazonaws.com/hubkeeper-0.1.0.template.json"
aws_issuer        = "https://00000000-0000-4000-8000-000000000002.tokens.sts.global.api.aws"
resource_group_id = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-security"
location          = "westeurope"

parameters = {
  CodeBucket        = "hubkeeper-packages-eu-west-1"
  NotificationEmail = "security@example.com"
  ManagerSecretArns = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper-manager/*"
}

tags = {
  application = "hubkeeper"
}
