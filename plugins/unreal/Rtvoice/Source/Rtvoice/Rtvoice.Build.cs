// Rtvoice.Build.cs: the module and the installed library: copy what `cmake --install` made to ThirdParty/rtvoice/<platform>.
using System.IO;
using UnrealBuildTool;

public class Rtvoice : ModuleRules
{
    public Rtvoice(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
        PublicDependencyModuleNames.AddRange(new[] { "Core", "CoreUObject", "Engine", "AudioMixer" });

        string Library = Path.Combine(PluginDirectory, "ThirdParty", "rtvoice", Target.Platform.ToString());
        PublicIncludePaths.Add(Path.Combine(Library, "include"));
        if (Target.Platform == UnrealTargetPlatform.Win64)
        {
            PublicAdditionalLibraries.Add(Path.Combine(Library, "lib", "librtvoice.dll.a"));
            PublicDelayLoadDLLs.Add("librtvoice.dll");
            RuntimeDependencies.Add("$(BinaryOutputDir)/librtvoice.dll", Path.Combine(Library, "bin", "librtvoice.dll"));
        }
        else
        {
            string Name = Target.Platform == UnrealTargetPlatform.Mac ? "librtvoice.dylib" : "librtvoice.so";
            PublicAdditionalLibraries.Add(Path.Combine(Library, "lib", Name));
            RuntimeDependencies.Add(Path.Combine(Library, "lib", Name));
        }
    }
}
