package org.pnetcds.hapi;

import ca.uhn.fhir.context.FhirContext;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.utilities.npm.NpmPackage;

/** Definitions from folders of JSON files and from FHIR packages, by file name. */
final class Artefacts {
    private Artefacts() {}

    /** What a folder, or a file named like a package, holds; resources that define nothing are left out. */
    static SortedMap<String, MetadataResource> read(FhirContext context, Path place) throws IOException {
        return Files.isDirectory(place) ? fromFolder(context, place) : fromPackage(context, place);
    }

    private static SortedMap<String, MetadataResource> fromFolder(FhirContext context, Path folder) throws IOException {
        SortedMap<String, MetadataResource> found = new TreeMap<>();
        List<Path> files;
        try (Stream<Path> walk = Files.walk(folder)) {
            files = walk.filter(file -> file.toString().endsWith(".json")).sorted().toList();
        }
        for (Path file : files) {
            keep(context, folder.relativize(file).toString(), Files.readString(file), found);
        }
        return found;
    }

    private static SortedMap<String, MetadataResource> fromPackage(FhirContext context, Path file) throws IOException {
        SortedMap<String, MetadataResource> found = new TreeMap<>();
        try (InputStream in = Files.newInputStream(file)) {
            NpmPackage.NpmPackageFolder folder = NpmPackage.fromPackage(in).getFolders().get("package");
            for (String name : folder.listFiles()) {
                if (name.endsWith(".json")) {
                    keep(context, name, new String(folder.fetchFile(name), StandardCharsets.UTF_8), found);
                }
            }
        }
        return found;
    }

    private static void keep(
            FhirContext context, String name, String json, SortedMap<String, MetadataResource> into) {
        if (!json.contains("\"resourceType\"")) {
            return; // package.json, .index.json
        }
        IBaseResource resource = context.newJsonParser().parseResource(json);
        if (resource instanceof MetadataResource definition) {
            into.put(name, definition);
        }
    }
}
