package org.pnetcds.hapi;

import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.elementmodel.Manager;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.r5.model.CanonicalType;
import org.hl7.fhir.r5.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;

/** Lets the validator judge the type that a reference names, with an empty resource for what it refers to. */
final class References extends FhirDefaultPolicyAdvisor implements IValidatorResourceFetcher {
    private static final Pattern REFERENCE = Pattern.compile("(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]+$");

    private References() {}

    static void check(FhirInstanceValidator validator) {
        References references = new References();
        validator.setValidatorPolicyAdvisor(references);
        validator.setValidatorResourceFetcher(references);
    }

    @Override
    public ReferenceValidationPolicy policyForReference(
            IResourceValidator any, Object context, String path, String url, ReferenceDestinationType type) {
        return ReferenceValidationPolicy.CHECK_TYPE_IF_EXISTS;
    }

    @Override
    public Element fetch(IResourceValidator validator, Object context, String url) {
        Matcher found = REFERENCE.matcher(url);
        StructureDefinition type = found.find() ? validator.getContext().fetchTypeDefinition(found.group(1)) : null;
        return type == null ? null : Manager.build(validator.getContext(), type);
    }

    @Override
    public boolean resolveURL(
            IResourceValidator any,
            Object context,
            String path,
            String url,
            String type,
            boolean canonical,
            List<CanonicalType> targets) {
        return true; // addresses of other places are not looked up
    }

    @Override
    public byte[] fetchRaw(IResourceValidator any, String url) {
        return null;
    }

    @Override
    public IValidatorResourceFetcher setLocale(Locale locale) {
        return this;
    }

    @Override
    public CanonicalResource fetchCanonicalResource(IResourceValidator any, Object context, String url) {
        return null;
    }

    @Override
    public boolean fetchesCanonicalResource(IResourceValidator any, String url) {
        return false;
    }

    @Override
    public Set<ResourceVersionInformation> fetchCanonicalResourceVersions(
            IResourceValidator any, Object context, String url) {
        return Set.of();
    }
}
