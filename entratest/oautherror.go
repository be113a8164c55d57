package entratest

import (
	"net/http"
	"strconv"
	"strings"
)

// oauthError is an error answer, RFC 6749 section 5.2, as Entra words it.
type oauthError struct {
	status   int    // zero: 400, or 401 for invalid_client
	code     string // error
	number   int    // the AADSTS number; zero: none
	text     string // replaces the number's usual text
	suberror string
	claims   string
	args     []string // fill {0}, {1} ... of the text
	echo     string   // appended to the description
}

// refuse makes an error with the usual text of an AADSTS number.
func refuse(code string, number int, args ...string) *oauthError {
	return &oauthError{code: code, number: number, args: args}
}

func (f *oauthError) httpStatus() int {
	switch {
	case f.status != 0:
		return f.status
	case f.code == "invalid_client":
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// message is the sentence for people, without IDs and time.
func (f *oauthError) message() string { return f.reason() + f.echo }

// reason is the message without what a fault repeats of the request.
func (f *oauthError) reason() string {
	text := f.text
	if text == "" {
		text = aadstsTexts[f.number]
	}
	if text == "" {
		text = "The request was refused."
	}
	for i, arg := range f.args {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", arg)
	}
	if f.number != 0 {
		text = "AADSTS" + strconv.Itoa(f.number) + ": " + text
	}
	return text
}

// errorAnswer is the JSON of an error, in Entra's order. See "Handle errors and exceptions" in Entra's documentation.
type errorAnswer struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes,omitempty"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri,omitempty"`
	Suberror      string `json:"suberror,omitempty"`
	Claims        string `json:"claims,omitempty"`
}

func (e *Emulator) describe(x *exchange, f *oauthError) errorAnswer {
	stamp := x.now.UTC().Format("2006-01-02 15:04:05Z")
	a := errorAnswer{
		Error: f.code,
		Description: f.message() + " Trace ID: " + x.traceID + " Correlation ID: " + x.correlationID +
			" Timestamp: " + stamp,
		Timestamp:     stamp,
		TraceID:       x.traceID,
		CorrelationID: x.correlationID,
		Suberror:      f.suberror,
		Claims:        f.claims,
	}
	if f.number != 0 {
		a.Codes = []int{f.number}
		a.URI = e.origin + "/error?code=" + strconv.Itoa(f.number)
	}
	return a
}

// aadstsTexts are the texts of the numbers the emulator answers with, and of those tests like to inject. From
// "Microsoft Entra authentication & authorization error codes" and public issues; {0} is filled in.
var aadstsTexts = map[int]string{
	16000:   "Either multiple user identities are available for the current request or selected account is not supported for the scenario.",
	28000:   "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {0} is not valid.",
	28002:   "Provided value for the input parameter scope '{0}' isn't valid when requesting an access token. Please specify a valid scope.",
	28003:   "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope.",
	40010:   "There's an issue with your federated Identity Provider. Contact your IDP to resolve this issue.",
	50011:   "The redirect URI '{0}' specified in the request does not match the redirect URIs configured for the application '{1}'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal.",
	50012:   "Authentication failed.",
	50013:   "Assertion failed signature validation or is replayed. [Reason - {0}]",
	50020:   "User account '{0}' does not exist in tenant '{1}' and cannot access the application '{2}' in that tenant. The account needs to be added as an external user in the tenant first.",
	50027:   "JWT token is invalid or malformed.",
	50033:   "A transient error has occurred. Please try again.",
	50034:   "The user account {0} does not exist in this directory. To sign into this application, the account must be added to the directory.",
	50048:   "Subject mismatches Issuer claim in the client assertion.",
	50049:   "Unknown or invalid instance.",
	50050:   "The request is malformed: invalid format for '{0}' value.",
	50055:   "The password is expired.",
	50057:   "The user account is disabled.",
	50058:   "A silent sign-in request was sent but no user is signed in.",
	50059:   "No tenant-identifying information found in either the request or implied by any provided credentials.",
	50072:   "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '{0}'.",
	50074:   "Strong Authentication is required.",
	50076:   "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '{0}'.",
	50078:   "Presented multi-factor authentication has expired due to policies configured by your administrator, you must refresh your multi-factor authentication to access '{0}'.",
	50079:   "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '{0}'.",
	50087:   "A transient error has occurred during a strong authentication operation. Please try again.",
	50089:   "Authentication failed due to flow token expired.",
	50105:   "Your administrator has configured the application {0} ('{1}') to block users unless they are specifically granted ('assigned') access to the application. The signed in user '{2}' is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator. Please contact your administrator to assign access to this application.",
	50126:   "Error validating credentials due to invalid username or password.",
	50132:   "The session is not valid due to password expiration or recent password change.",
	50133:   "The session is not valid due to password expiration or recent password change.",
	50147:   "Missing or invalid code challenge: the size or the form of the code verifier is not valid.",
	50158:   "External security challenge not satisfied. User will be redirected to another page or authentication provider to satisfy additional authentication challenges.",
	50173:   "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.",
	50194:   "Application '{0}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps. Use a tenant-specific endpoint or configure the application to be multi-tenant.",
	50196:   "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.",
	53000:   "Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the device is not compliant.",
	53001:   "Device is not in required device state: domain_joined. Conditional Access policy requires a domain joined device, and the device is not domain joined.",
	53002:   "Application used is not an approved application for Conditional Access.",
	53003:   "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
	54005:   "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
	65001:   "The user or administrator has not consented to use the application with ID '{0}'. Send an interactive authorization request for this user and resource.",
	65004:   "User declined to consent to access the app.",
	65005:   "The application needs access to a resource that is not listed in the required resource access list of its registration.",
	70000:   "Provided grant is invalid or malformed. {0}",
	70002:   "Error validating credentials.",
	70003:   "The app requested an unsupported grant type '{0}'.",
	70004:   "The app returned an invalid redirect URI.",
	70008:   "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.",
	70011:   "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {0} is not valid.",
	70016:   "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
	70018:   "Invalid verification code: the device_code is not known.",
	70020:   "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
	70021:   "No matching federated identity record found for presented assertion. Assertion Issuer: '{0}'. Assertion Subject: '{1}'. Assertion Audience: '{2}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
	70043:   "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on {0} and the maximum allowed lifetime for this request is {1}.",
	70044:   "The session has expired or is invalid due to sign-in frequency checks by conditional access.",
	90002:   "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
	90006:   "The service is temporarily unavailable. Please retry later.",
	90008:   "The application is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier.",
	90012:   "The request has timed out.",
	90014:   "The required field '{0}' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
	90023:   "Invalid request: {0}",
	90024:   "A transient error has occurred. Please try again.",
	90033:   "A transient error has occurred. Please try again.",
	90038:   "The tenant belongs to another national cloud. Use that cloud's endpoint.",
	90055:   "Server is terminating operation to prevent further impact. The tenant has been throttled.",
	90061:   "Request to External OIDC endpoint failed.",
	90094:   "Admin consent is required for the permissions requested by this application.",
	165000:  "Invalid Request: The request tokens do not match the user context. Do not copy the user context values (cookies; form fields; headers) between different requests or user sessions. Failure Reasons: [{0}]",
	500011:  "The resource principal named {0} was not found in the tenant named {1}.",
	500112:  "The reply address '{0}' does not match the reply address '{1}' provided when requesting Authorization code.",
	500121:  "Authentication failed during strong authentication request.",
	500131:  "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '{0}' and the expected audience is '{1}' or one of the Application Uris of this application.",
	500133:  "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token. Current time: {0}, expiry time of assertion {1}.",
	500501:  "Invalid value for 'api-version'.",
	500502:  "Expected exactly one of 'issuer' and 'authorization_endpoint'.",
	501481:  "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
	501491:  "The code challenge parameter has an invalid size or form.",
	530032:  "Access has been blocked by security policy of the tenant.",
	650052:  "The app needs access to a service that your organization has not subscribed to or enabled.",
	650057:  "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration.",
	700005:  "Provided Authorization Code is intended to use against other tenant, thus rejected. OAuth2 Authorization Code must be redeemed against same tenant it was acquired for.",
	700016:  "Application with identifier '{0}' was not found in the directory '{1}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
	700020:  "The user must sign in again to meet a requirement of the resource.",
	700021:  "Client assertion application identifier doesn't match 'client_id' parameter.",
	700022:  "Provided value for the input parameter scope is not valid because it contains more than one resource.",
	700023:  "Client assertion audience claim does not match Realm issuer. The expected audience is '{0}'.",
	700024:  "Client assertion is not within its valid time range. Current time: {0}, expiry time of assertion {1}.",
	700025:  "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
	700027:  "Client assertion failed signature validation. [Reason - {0}]",
	700030:  "Invalid certificate - subject name in certificate is not authorized.",
	700054:  "response_type '{0}' is not enabled for the application.",
	700082:  "The refresh token has expired due to inactivity. The token was issued on {0} and was inactive for 90.00:00:00.",
	700084:  "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which can't be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page. The token was issued on {0}.",
	700211:  "No matching federated identity record found for presented assertion issuer '{0}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
	700212:  "No matching federated identity record found for presented assertion audience '{0}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
	700213:  "No matching federated identity record found for presented assertion subject '{0}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
	900144:  "The request body must contain the following parameter: '{0}'.",
	900382:  "Confidential Client is not supported in Cross Cloud request.",
	900432:  "Confidential Client is not supported in Cross Cloud request.",
	900561:  "The endpoint only accepts {0} requests. Received a {1} request.",
	900612:  "Failed to parse provider signing keys.",
	900971:  "No reply address provided.",
	1002012: "The provided value for scope {0} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
	5002738: "Invalid JWT token. '{0}' is not a supported signature algorithm. Supported signing algorithms are: 'RS256,RS384,RS512'",
	7000112: "Application '{0}'({1}) is disabled.",
	7000114: "Application '{0}' is not allowed to make application on-behalf-of calls.",
	7000215: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{0}'.",
	7000218: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
	7000222: "The provided client secret keys for app '{0}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
	7002138: "No matching federated identity record found for presented assertion subject '{0}'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
	9000411: "The request is not properly formatted. The parameter '{0}' is duplicated.",
	9001023: "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.",
	9002313: "Invalid request. Request is malformed or invalid.",
	9002325: "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
	9002326: "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type.",
	9002327: "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
}
