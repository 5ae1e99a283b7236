package org.pnetcds.hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.r4.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * HAPI's validator, offline.
 *
 * <pre>
 * Validate [folder|package.tgz ...]           one request per line in, one list of messages per line out
 * Validate --snapshots IN_DIR OUT_DIR [...]   each StructureDefinition of IN_DIR with its snapshot into OUT_DIR
 * </pre>
 *
 * A request is {@code {"resource": {…}, "profile": "canonical, may be left out"}}; the first line out is {@code []} and
 * says that the validator is ready.
 */
public final class Validate {
    private static final String SNAPSHOTS = "--snapshots";

    private final FhirContext context = FhirContext.forR4();
    private final PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
    private final IValidationSupport support = chain();

    /** Answers on standard output; whatever libraries print goes to standard error. */
    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Validate validate = new Validate();
        if (arguments.length > 2 && SNAPSHOTS.equals(arguments[0])) {
            List<String> places = Arrays.asList(arguments).subList(3, arguments.length);
            validate.load(places);
            validate.snapshots(Path.of(arguments[1]), Path.of(arguments[2]));
        } else {
            validate.load(Arrays.asList(arguments));
            validate.answer(out);
        }
    }

    private IValidationSupport chain() {
        // Code systems whose content is not here, such as SNOMED CT and LOINC, are a warning and no more.
        UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
        unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        return new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                own,
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context),
                unknown);
    }

    private void load(List<String> places) throws IOException {
        for (String place : places) {
            Artefacts.read(context, Path.of(place)).values().forEach(own::addResource);
        }
    }

    private void answer(PrintStream out) throws IOException {
        FhirInstanceValidator instances = new FhirInstanceValidator(support);
        instances.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        References.check(instances);
        FhirValidator validator = context.newValidator().registerValidatorModule(instances);
        ObjectMapper json = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        out.println("[]");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = json.readTree(line);
            ValidationOptions options = new ValidationOptions();
            if (request.hasNonNull("profile")) {
                options.addProfile(request.get("profile").asText());
            }
            String resource = json.writeValueAsString(request.get("resource"));
            ArrayNode answer = json.createArrayNode();
            for (SingleValidationMessage message : validator.validateWithResult(resource, options).getMessages()) {
                answer.addObject()
                        .put("severity", message.getSeverity().getCode())
                        .put("location", message.getLocationString())
                        .put("message", message.getMessage())
                        .put("messageId", message.getMessageId());
            }
            out.println(json.writeValueAsString(answer));
        }
    }

    private void snapshots(Path from, Path to) throws IOException {
        load(List.of(from.toString()));
        Files.createDirectories(to);
        for (Map.Entry<String, MetadataResource> file : Artefacts.read(context, from).entrySet()) {
            if (file.getValue() instanceof StructureDefinition definition) {
                IBaseResource full = support.generateSnapshot(
                        new ValidationSupportContext(support), definition, definition.getUrl(), "", definition.getName());
                String text = context.newJsonParser().setPrettyPrint(true).encodeResourceToString(full);
                Files.writeString(to.resolve(Path.of(file.getKey()).getFileName()), text + "\n");
            }
        }
    }
}
