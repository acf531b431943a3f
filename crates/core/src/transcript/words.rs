//! The closed vocabulary of a transcript: every name, code and word of text that a transcript keeps is made of the words
//! in this file.
//!
//! A form alone does not tell a name from a credential: a password may be a plain word, and so may be the name of an
//! organization that is the key of a map. What is not in the vocabulary cannot be in a transcript.

use std::sync::LazyLock;

/// What replaces a name that is not kept.
pub(super) const OTHER: &str = "*";

/// What replaces words, codes and whole texts that are not kept.
pub(super) const HIDDEN: &str = "…";

/// Maximum length of a text, in characters.
const CAP: usize = 300;

/// Maximum length of a name, in bytes, and of the words in it.
const NAME: (usize, usize) = (64, 8);

/// Names that hubkeeper sends, or that the services document. They are constants: they say nothing of a secret that
/// happens to be the same word, so they are never hidden.
const DOCUMENTED: &str = "
    ARN Name Description KmsKeyId RotationEnabled RotationLambdaARN RotationRules AutomaticallyAfterDays Duration
    ScheduleExpression LastRotatedDate LastChangedDate LastAccessedDate DeletedDate NextRotationDate Tags Key Value
    VersionIdsToStages VersionStages VersionStage VersionId VersionIds Versions OwningService CreatedDate
    PrimaryRegion ReplicationStatus Region SecretId SecretString SecretBinary SecretList SecretVersionsToStages
    NextToken MaxResults Filters Values ClientRequestToken RotationToken RemoveFromVersionId MoveToVersionId
    IncludeDeprecated IncludePlannedDeletion KmsKeyIds Type Action Version Audience SigningAlgorithm DurationSeconds
    GetWebIdentityTokenResponse GetWebIdentityTokenResult WebIdentityToken Expiration ResponseMetadata RequestId
    GetCallerIdentityResponse GetCallerIdentityResult Account Arn UserId ErrorResponse Error Code Message message
    QueueUrl Entries Id MessageBody MessageId MD5OfMessageBody Successful Failed SenderFault member entry __type
    code error errors detail details error_description error_codes error_uri correlation_id trace_id timestamp
    suberror claims client_id client_secret client_assertion client_assertion_type grant_type scope scopes token
    access_token refresh_token id_token token_type expires_in ext_expires_in issued_at identifier secret username
    password login_2fa_token count next previous results name namespace is_private repository_type status
    status_description description star_count pull_count last_updated last_modified date_registered affiliation
    media_types content_types categories storage_size is_active token_label uuid creator_ip creator_ua created_at
    last_used generated_by expires_at id email full_name role groups is_guest primary_email company date_joined
    gravatar_email gravatar_url profile_url type data invitee inviter_username invitees invite org team errinfo text
    tag_last_pushed tag_last_pulled images digest architecture os size v2 tag_status user_id creator properties
    value location kind etag tags systemData createdBy createdByType createdAt lastModifiedBy lastModifiedByType
    lastModifiedAt hierarchyIdentifier hierarchyIdentifierTrialEndDate environmentName environmentData
    environmentType authentication authenticationType accessToken scanInterval offerings offeringType nextLink
    target additionalInfo innererror info policyAssignmentId policyAssignmentName statusCode errorMessage
    errorCorrelation errorType resourceDetails environmentDetails healthDataClassification affectedDefendersPlans
    affectedDefendersSubPlans issues issueKey issueName issueDescription issueAdditionalData securityValues
    remediationSteps remediationScript statusChangeDate firstEvaluationDate statusChangedAt lastScannedAt actions
    notActions dataActions notDataActions pricingTier subPlan freeTrialRemainingTime enablementTime iss sub aud exp
    iat nbf jti azp typ alg kid x5t x5c access oid tid appid roles ver idp uti session_id source user_roles
    user_groups login_2fa https://hub.docker.com https://auth.docker.io https://sts.amazonaws.com/ content-type
    content-length accept authorization user-agent host date server connection cache-control vary x-amz-target
    x-amz-date x-amz-security-token x-amz-user-agent x-amzn-requestid x-amzn-errortype x-amz-content-sha256
    amz-sdk-invocation-id amz-sdk-request retry-after x-retry-after x-ratelimit-limit x-ratelimit-remaining
    x-ratelimit-reset www-authenticate x-ms-request-id x-ms-client-request-id x-ms-correlation-request-id
    x-ms-routing-request-id x-ms-failure-cause docker-content-digest docker-distribution-api-version
";

/// The words of other names, of codes and of texts.
const WORDS: &str = "
    a able about above accelerator accept accepted access accessed account accounts acquire across action actions
    activate active actor actual add added adding addition additional address addresses admin administrator admins
    affected affiliation after again against age agent agentless aggregation agree agreement alarm alarms alg
    algorithm alias aliases all allow allowed allowlist already also although always am amazon amount amz amzn an
    and annotations anonymous another anti any anymore anyone api apis app appear appid application applications
    apply approval approve approved approximate arc arch architecture architectures archive archived are arn arns
    array artifact as ask assertion assessment assign assigned assignment assignments associate associated assume
    assumed async at attach attached attachment attachments attempt attempted attempts attribute attributes aud
    audience audiences audit auth authenticate authenticated authentication authenticator author authority
    authorization authorize authorized authorizer auto automated automatic automatically availability available
    avatar average avoid away aws awsvpc azp azure back backend backup bad badge balance base based basic batch
    batching be bearer because become been before began begin beginning behalf being below between beyond bill
    billing binary blob blobs block blocked bodies body bool boolean both boundary bridge browse browser bucket
    buffer build builds bulk bundle bus but by bytes cache cached call callback called caller calls can can't cancel
    canceled cancelled cannot capabilities capability capacity case catalog categories category cause certificate
    certificates cf challenge chance change changed changes channel char character characters check checked checks
    child children ciem cipher claim claims class classification clean clear cli client clients clock close closed
    cloud cluster code codes collaborator collation collection column com combination comma command comment commit
    common communication company compare comparison compatible complete completed completion complex compliance
    component composite compress concurrency concurrent condition conditional conditions config configs
    configuration configurations configure configured confirm confirmation confirmed conflict conflicting conflicts
    connect connected connection connections connectivity connector connectors consent consider console constraint
    constraints consumed consumer consumes consumption contact contacts contain contained container containers
    contains content contents context contexts continuation continue control controls cookie copies copy correct
    corrected correctly correlation corrupt corrupted cors could couldn't count counter country cpu create created
    creates creating creation creator credential credentials criteria cron cross csp cspm current currently custom
    customer cycle daily dashboard dashboards data database databases datapoints date dates day days db deactivate
    deactivated dead debug decision decode decrypt decryption deduplication default defaults defender define defined
    definition definitions degraded delay delegated delegation delete deleted deletes deleting deletion delivery
    denied denies deny dependency deploy deployment deprecated depth describe described description desired desktop
    destination destinations detail detailed details detected determine dev developer device devices diagnostic
    diagnostics did didn't different digest dimension dimensions direct direction directory disable disabled
    disallowed disassociate discovery discriminator display distinct distribution do docker document documentation
    documented documents does doesn't domain domains don't done down download downloaded drain drift dry dspm dual
    due duplicate duplicated durable duration during dynamic each earlier early ecs edge edit editor effect
    effective efs efsio either element eligible else email emails emitter empty enable enabled enablement encode
    encoded encoding encrypt encrypted encryption end ended ending endpoint endpoints ends enforce enforced
    enforcement eni enough enrollment ensure enter enterprise entities entitled entity entra entries entry enum
    environment ephemeral equal err error errors escalation etag eu eval evaluate evaluated evaluating evaluation
    event events every everyone exact exactly example examples exceed exceeded exceeds except exception exclude
    excluded exclusion execute executed execution executions exempt exist existed existing exists exp expected
    expiration expire expired expires expiry explicit explicitly export expose exposed expression extend extended
    extends extension extensions external extra fa factor factors fail failed failing fails failure failures false
    family feature features federated federation fetch fetching few field fields file files filter filters final
    find fingerprint finish finished first fix fixed flag flags flexible flow folder follow followed following for
    forbidden force forced form format found foundational fqdn frame free frequency frequently from full fully
    function functions future gate gateway gating gcp general generate generated generation generic get gets getting
    git github gitlab given global go gone grace grant granted granting grants graph greater group grouped groups
    guest had handle handler handling has hash have having head header headers health healthy heartbeat help here
    hidden hierarchy high history hold hook host hosted hostname hosts hour hours how however href http https hub
    human icon id identical identification identified identifier identifiers identities identity idp ids if image
    images immediate immediately immutable impersonation import in inaccessible inactive include included includes
    including incomplete inconsistent incorrect index indicate inflight info information inherited initial initiate
    inline inner input insecure inside installation installed instance instances instead instruction instructions
    insufficient integer integration integrity interaction interactive internal interval into invalid invitation
    invitations invite invited invitee invitees inviter invites invoke invoked invoking ip ips ipv is isn't
    isolation iss issue issued issuer issues it item items its itself job join joined json jwks jwt kafka keep kept
    key keys kid kind kinds kinesis km kms known kube kubernetes lab label labels lambda large larger last late
    latency later latest launch layer layers lead least leave left legacy length less let letter letters level
    levels license like limit limited limits line link linked links list listed listing lists load local locale
    location locations lock locked lockout log logged logging logical login logins logout logs long longer lookup
    low lower lowercase machine made main maintenance major make maker makes malformed malware managed management
    manager mandatory manifest manifests manual many map mapping mappings mark marked marker master match matched
    matches matching max maximum may maybe md mdc mde me mean measure mechanism media mediatype member members
    membership memory merge message messages met meta metadata method methods metric metrics mfa microsoft might
    migrated min minimum minor minute minutes misconfigured mismatch missing mistake mode model modification
    modified modify modifying module moment monitor monitoring month monthly more most mount move moved ms much
    multi multifactor multiple must mutability mutable my name named names namespace namespaces native nbf near
    necessary need needed needs negotiate nested network never new newer newest next no node nodes non nonce none
    nor normal nosniff not note nothing notification notifications notify now null nullable number numbers oauth
    object objects observed obtain occur occurred of off offer offering offerings office official offline offload
    offset often oid oidc ok old older on once one ones ongoing only open openapi operation operational operations
    operator ops opt optimization option optional options or order ordering org organisation organization
    organizational organizations origin original origins os other others otherwise our out outbound output outputs
    outside over overflow overview overwrite own owned owner owners package packages packed page pageable pages
    paginated paging pair parallel parallelization param parameter parameters parent parents parse parsed parser
    parsing part partial parties partition parts party pass passed password passwords past patch path paths pattern
    payload payment peer pending people per percent percentage percentile perform performed period periods permanent
    permanently permission permissions permit permitted person personal phase phone physical pipeline place
    placement plan planned plans platform please plugin point points policies policy poll poller pollers pool port
    portal ports position possible post pragma precondition prefix prevent preview previous previously price pricing
    primary principal principals prior private privilege privileges probably problem problems process processed
    processing produces product production profile profiles progress prohibited project projects prom prompt proof
    propagate propagated propagation properties property protected protection protobuf protocol provide provided
    provider providers provides provision provisioned provisioning proxy public publish published publisher
    publishers pull pulled pulls punctuation purge purpose push pushed pushes put qualifier quantity queries query
    queue queues quick quota quotas random range rate rates raw ray rds reach reached read readable reader reading
    reads ready realm reason reasons receipt receive received recent recently recipient reconnect record records
    recover recovery recursive redirect redshift reduce ref refer reference references referrer refresh refused
    regenerate regeneration regex region regional regions register registered registration registrations registries
    registry regular reissue reject rejected related relation release remaining remediation remote remove removed
    removing renew renewed repeat replace replaced replica replicas replicate replication repo report reports repos
    repositories repository represent request requested requester requestid requesting requests require required
    requirement requirements requires requiring resend reserved reset resolve resolved resource resources resp
    response responses restore restricted restriction restrictions result results resume retain retention retried
    retries retry retryable retrying return returned returns reuse reused review revision revoke revoked right
    rights role roles rollback root rotate rotated rotation rotations route routes routing rpc rule rules run
    running runtime safe sage same saml sample scale scaling scan scanned scanner scanners scanning scans schedule
    scheduled schedules schema schemas scheme schemes scim scope scoped scopes score script search seat seats second
    secondary seconds secret secrets section secure security see seem seen select selected selection self semantics
    send sender sending sensitivity sent separate sequence serial serialized server serverless servers service
    services session sessions set sets setting settings setup several severity sha shape share shared short should
    show shown side sign signature signed signin signing similar simple simulate since single site situated size
    skip skipped sliding slow slug small smaller smart snap snapshot so software some someone something soon sort
    source sources space spec special specific specification specified specify spelling split sql sqls sqs sso stack
    stacks stackset stage staged stages staging standard star starred stars start started starting stat state
    statement statements states static statistic statistics status statuses steady step steps still stop stopped
    storage store stored stores strategy stream string strings strong structure sts style sub subject submit
    submitted subnet subnets subplan subscribe subscribed subscription subscriptions subset substatus succeeded
    success successful successfully such sufficient suffix sum summaries summary supplied supply support supported
    supports suppressed suppressor suspended suspicious swagger switch sync syntax system systems table tag tags
    take taken target targets task tasks team teams technical template temporarily temporary tenancy tenant tenants
    term terminated termination terms test text than that the their them then there these they third this those
    though threat threshold throttle throttled throttling through throughput tid tier time timed timeout times
    timestamp timestamps timezone title to today together token tokens too top topic topics total tpm trace tracing
    tracking traffic transaction transfer transformer transient transition transitioned transitive transport treat
    trial tried trigger triggers true truncated trust trusted try trying tumbling twice two txt type types typespec
    ua ui unable unauthenticated unauthorized unavailable unchanged undefined under unexpected unfortunately
    unhealthy unique uniqueness unit units unknown unlimited unlock unnecessary unprocessable unreachable unreadable
    unrecognized unreserved unresolved unsupported untag until untrusted unusual unzipped up update updated updater
    updates updating upgrade upload upper uppercase uri uris url urls us usage use used user userid usernames users
    uses using usual utc utf utilization uuid valid validate validated validation validity value valued values
    variable variables variant vary vending vendor verification verified verify version versions very via view
    viewed views violate violated violates violation visibility visible visit vm volume vpc wait waiting wall warm
    warning warnings was wasn't watch we web webhook week weekly weight weights well were what when where whether
    which while who whole why wide widget will window with within without won't word words work worker workflow
    working workload works workspace would write writer writes writing wrong x xml yaml year yes yet you your yours
    zero zip zipped zone
";

/// The documented names.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut names: Vec<&str> = DOCUMENTED.split_whitespace().collect();
    names.sort_unstable();
    names
});

/// Every word in lower case: those of [`WORDS`], and the parts of documented names that have only letters.
static VOCABULARY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = NAMES.iter().filter(|name| name.bytes().all(is_of_a_name)).flat_map(|name| parts(name));
    let parts = names.filter(|part| part.len() > 2);
    let mut words: Vec<String> = WORDS.split_whitespace().chain(parts).map(str::to_ascii_lowercase).collect();
    words.sort_unstable();
    words
});

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || b"_-.".contains(&byte)
}

/// Splits a name into its words: at everything but letters, and where a capital begins a word.
fn parts(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let mut parts = Vec::new();
    let mut start = None;
    for at in 0..=bytes.len() {
        let letter = bytes.get(at).filter(|byte| byte.is_ascii_alphabetic());
        let begins = letter.is_some_and(|byte| {
            let follows = |at: usize, is: fn(&u8) -> bool| bytes.get(at).is_some_and(is);
            byte.is_ascii_uppercase()
                && at > 0
                && (follows(at - 1, u8::is_ascii_lowercase) || follows(at + 1, u8::is_ascii_lowercase))
        });
        if let Some(from) = start.filter(|_| letter.is_none() || begins) {
            parts.push(&name[from..at]);
            start = None;
        }
        if letter.is_some() && start.is_none() {
            start = Some(at);
        }
    }
    parts
}

/// Returns whether this is one word of the vocabulary.
pub(super) fn is_word(word: &str) -> bool {
    VOCABULARY.binary_search(&word.to_ascii_lowercase()).is_ok()
}

/// Returns whether this is a name that hubkeeper sends or that a service documents, or a path of such names.
pub(super) fn is_documented(name: &str) -> bool {
    let is_known = |name: &str| NAMES.binary_search(&name).is_ok();
    let mut parts = name.split('.');
    is_known(name) || (parts.next().is_some_and(is_known) && parts.all(|part| part == "#" || is_known(part)))
}

/// Returns whether this is a documented name, or made of words of the vocabulary: `lastRotatedDate`, `x-rate-limit`,
/// `Tags.#.Key`.
pub(super) fn is_name(name: &str) -> bool {
    let made_of_words = || {
        let parts = parts(name);
        name.len() <= NAME.0
            && (1..=NAME.1).contains(&parts.len())
            && name.split('.').all(|part| part == "#" || (!part.is_empty() && part.bytes().all(is_of_a_name)))
            && parts
                .iter()
                .enumerate()
                .all(|(at, part)| is_word(part) && (part.len() > 1 || (at == 0 && name.starts_with("x-"))))
    };
    is_documented(name) || made_of_words()
}

/// Returns the name if it may be kept, otherwise [`OTHER`].
pub(super) fn name(name: &str) -> String {
    if is_name(name) { name.to_owned() } else { OTHER.to_owned() }
}

/// Returns an error code without its namespace if it is made of words, otherwise [`HIDDEN`].
pub(super) fn code(code: &str) -> String {
    let plain = code.rsplit('#').next().unwrap_or_default();
    let plain = plain.split(':').next().unwrap_or_default().trim();
    // the short codes of a name are no words of a text
    if is_name(plain) { plain.to_owned() } else { HIDDEN.to_owned() }
}

/// Returns the words of a text that are in the vocabulary. Replaces numbers with `#`, and everything else with
/// [`HIDDEN`].
pub(super) fn text(text: &str) -> String {
    let text: String = text.chars().take(4 * CAP).collect();
    let mut kept = String::new();
    for word in text.split_whitespace() {
        let core = word.trim_matches(|c: char| "\"'`.,;:!?()[]{}<>".contains(c));
        let end = word.chars().next_back().filter(|end| ".,;:!?".contains(*end));
        let shown = if core == "#" || (core.bytes().all(|byte| byte.is_ascii_digit()) && !core.is_empty()) {
            "#"
        } else if is_word(core) || is_term(core) {
            core
        } else {
            HIDDEN
        };
        if shown == HIDDEN && kept.ends_with(HIDDEN) {
            continue;
        }
        if kept.chars().count() + shown.len() + 2 > CAP {
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(shown);
        if shown != HIDDEN {
            kept.extend(end);
        }
    }
    kept
}

/// Returns whether this is a compound of words: `read-only`, `AccessToken`, `pull/push`.
fn is_term(word: &str) -> bool {
    word.split('/').all(|part| !part.contains('.') && is_name(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_where_a_word_begins() {
        for (name, expected) in [
            ("VersionIdsToStages", vec!["Version", "Ids", "To", "Stages"]),
            ("KmsKeyARN", vec!["Kms", "Key", "ARN"]),
            ("ARNValue", vec!["ARN", "Value"]),
            ("is_private", vec!["is", "private"]),
            ("x-amzn-requestid", vec!["x", "amzn", "requestid"]),
            ("login_2fa", vec!["login", "fa"]),
            ("", vec![]),
        ] {
            assert_eq!(parts(name), expected, "{name}");
        }
    }

    #[test]
    fn names_of_words_stay_and_what_could_be_data_goes() {
        for kept in
            ["lastUpdatedTime", "MD5OfMessageBody", "is_default", "rate-limit", "Tags.#.Key", "https://hub.docker.com"]
        {
            assert_eq!(name(kept), kept);
        }
        for gone in [
            "horse",
            "acme",
            "payments",
            "dckr_pat_Ab3dEf9h",
            "JBSWYDPEHPKPXP",
            "5d9f3a52-0000-4000-a000-000000000001",
            "a@acme.example",
            "deadbeef",
            "AbCdEfGh",
            "token1",
            "",
            ".",
            "a",
            "user.",
            "#",
            "name name",
            "1.2",
        ] {
            assert_eq!(name(gone), OTHER, "{gone}");
        }
        assert_eq!(name(&"name_".repeat(20)), OTHER, "too long");
    }

    #[test]
    fn every_word_of_the_vocabulary_is_one_word_and_no_documented_name_is_data() {
        assert!(
            VOCABULARY.iter().all(|word| word.bytes().all(|c| c.is_ascii_lowercase() || c == b'\'')),
            "{VOCABULARY:?}"
        );
        assert!(VOCABULARY.len() > 1_000, "{}", VOCABULARY.len());
        assert!(NAMES.iter().all(|name| is_name(name)));
    }

    #[test]
    fn a_code_loses_its_namespace() {
        for (text, expected) in [
            ("com.amazonaws.secretsmanager#ResourceNotFoundException", "ResourceNotFoundException"),
            ("ResourceNotFoundException:http://internal/", "ResourceNotFoundException"),
            ("AuthorizationFailed", "AuthorizationFailed"),
            ("invalid_grant", "invalid_grant"),
            ("MANIFEST_UNKNOWN", "MANIFEST_UNKNOWN"),
            ("horse", HIDDEN),
            ("dckr_pat_x", HIDDEN),
            ("", HIDDEN),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_keeps_its_words() {
        let said = "The client 'b1c2' with object id 'x@y' does not have authorization to perform action \
                    'Microsoft.Security/securityConnectors/read' over scope '/subscriptions/1'. See (code 42), horse!";
        assert_eq!(
            text(said),
            "The client … with object id … does not have authorization to perform action … over scope … See … #, …"
                .replace("See … #", "See code #")
        );
        assert_eq!(text("read-only AccessToken, isn't pull/push"), "read-only AccessToken, isn't pull/push");
        assert!(text(&"word ".repeat(10_000)).chars().count() <= CAP);
    }
}
