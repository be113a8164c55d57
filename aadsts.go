package authcode

// adviceFor turns Entra's error numbers into what to do next. The numbers are hints for people; no decision is
// taken on them. https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func adviceFor(codes []int) string {
	for _, code := range codes {
		if advice, ok := aadstsAdvice[code]; ok {
			return advice
		}
	}
	return ""
}

const (
	adviseCodeOnce     = "a code works once: start a new sign-in, and look for a second redemption of the same callback"
	adviseSignInAgain  = "the user must sign in again"
	adviseMFA          = "send the user to sign in with the claims of this error"
	adviseConsent      = "send the user to sign in with these scopes so that they can consent"
	adviseAdminConsent = "an administrator must grant consent for these scopes"
	adviseBlocked      = "a policy of the directory refuses this sign-in: show the message to the user, and do not redirect in a loop"
	adviseSecret       = "check the client secret: its value, not its ID, from the app registration"
	adviseVerifier     = "send the verifier that belongs to the code challenge of this sign-in"
	adviseRedirect     = "use the redirect URI that was sent to the authorize endpoint, registered for the app"
	adviseCertificate  = "check that the certificate is registered for the app and that the clock is right"
	adviseTenantOfCode = "redeem the code in the tenant it was issued by: the one in the authorize URL"
	adviseApp          = "check the client ID and the tenant: the app is not in this directory"
	adviseScope        = "check the scopes: full names, of one resource per call"
	adviseWait         = "wait, then try again"
)

var aadstsAdvice = map[int]string{
	54005:   adviseCodeOnce,
	70000:   adviseSignInAgain,
	70008:   adviseSignInAgain,
	50089:   adviseSignInAgain,
	70043:   adviseSignInAgain,
	700082:  adviseSignInAgain,
	700084:  adviseSignInAgain,
	50173:   adviseSignInAgain,
	50132:   adviseSignInAgain,
	50133:   adviseSignInAgain,
	50055:   "the user's password has expired: they must sign in and change it",
	50057:   "the user's account is disabled: end their sessions",
	700005:  adviseTenantOfCode,
	9002313: "the code is malformed: pass it on as it was received, URL-decoded once",
	50011:   adviseRedirect,
	500112:  adviseRedirect,
	70004:   adviseRedirect,
	501481:  adviseVerifier,
	50147:   adviseVerifier,
	501491:  adviseVerifier,
	65001:   adviseConsent,
	65004:   "the user declined to consent",
	90094:   adviseAdminConsent,
	90008:   adviseAdminConsent,
	50076:   adviseMFA,
	50079:   adviseMFA,
	50074:   adviseMFA,
	50072:   adviseMFA,
	50078:   adviseMFA,
	50158:   adviseMFA,
	53000:   adviseBlocked,
	53001:   adviseBlocked,
	53002:   adviseBlocked,
	53003:   adviseBlocked,
	530032:  adviseBlocked,
	50105:   "the user is not assigned to the app: an administrator must assign them",
	7000215: adviseSecret,
	70002:   adviseSecret,
	7000222: "the client secret has expired: create a new one in the app registration",
	7000218: "the app is confidential: set ClientSecret or ClientAuth",
	700025:  "the app is public: set neither ClientSecret nor ClientAuth",
	700027:  adviseCertificate,
	50012:   adviseCertificate,
	700024:  adviseCertificate,
	500133:  "the federated assertion has expired: fetch a fresh one per request",
	700016:  adviseApp,
	90002:   "check the tenant ID: there is no such directory in this cloud",
	50020:   "the user's account is not in this directory: invite them as a guest or sign in with another account",
	50034:   "the user's account is not in this directory: sign in with another account",
	7000112: "the app is disabled in this directory: an administrator must enable it",
	70011:   adviseScope,
	28000:   adviseScope,
	28002:   adviseScope,
	28003:   adviseScope,
	700022:  adviseScope,
	650057:  adviseScope,
	65005:   adviseScope,
	500011:  "check the resource in the scopes: it is not in this directory",
	90038:   "use the authority of the cloud the tenant is in",
	50196:   "the app asks for the same token in a loop: find the loop",
	90055:   adviseWait,
	90024:   adviseWait,
	50033:   adviseWait,
	90033:   adviseWait,
	90006:   adviseWait,
	90012:   adviseWait,
}
